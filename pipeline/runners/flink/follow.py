"""Follows a job on a cluster: until it is over, or until somebody asks us to stop."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from pipeline.runners.endings import CancelledElsewhere
from pipeline.runners.flink.causes import root_cause
from pipeline.runners.flink.rest import (
    FlinkError,
    FlinkJob,
    FlinkRefused,
    FlinkRest,
    NoSavepoint,
    Unreachable,
)
from pipeline.runners.flink.words import span
from pipeline.runners.remote import DRAIN, LEAVE, RemoteSettings
from pipeline.runners.signals import Asked
from pipeline.runners.words import python_cause
from transforms.failures import PipelineFailure

log = logging.getLogger("newsbeam.flink")

#: Seconds between two looks at a job.
EVERY = 1.0
#: At most one line in this time that Flink is away, in seconds.
SAY_AGAIN = 60.0
#: How long a savepoint is tried again, in seconds: a job that restarts can't make one.
SAVEPOINT_PATIENCE = 120.0
#: How often a job may fail before it has run at all.
STARTS = 3
#: States of tasks that wait for a slot.
_UNSTARTED = frozenset({"created", "scheduled"})
#: The exit code of a failure that says that another instance goes on.
TAKEN_OVER = 3


class JobFailed(PipelineFailure):
    """The job failed for good, or is gone."""


class Follower:
    """Follows one job.

    Args:
        rest: Flink.
        job: Its id.
        asked: Whether we are to stop.
        settings: What is to be done then.
        clock: Gives seconds that never go back.
    """

    def __init__(
        self,
        rest: FlinkRest,
        job: str,
        asked: Asked,
        settings: RemoteSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rest = rest
        self._job = job
        self._asked = asked
        self._settings = settings
        self._clock = clock
        self._told: set[str] = set()
        self._away_since: float | None = None
        self._said_away = -SAY_AGAIN

    # ---- while it runs ----------------------------------------------------------------------------

    def until_running(self) -> bool:
        """Waits until all of its tasks run; False where we are to stop before.

        Raises:
            PipelineFailure: It is over before it ran.
        """
        return self._until(lambda job: job.running, starting=True)

    def until_over(self) -> bool:
        """Waits until it has finished; False where we are to stop before.

        Raises:
            PipelineFailure: It failed, was cancelled by somebody else, or is gone.
        """
        if not self._until(lambda job: job.state == "FINISHED"):
            return False
        try:
            latest = self._rest.checkpoints(self._job).get("latest") or {}
        except FlinkError as e:
            log.debug("%s", e)
            return True
        if path := (latest.get("savepoint") or {}).get("external_path"):
            words = how_to_resume(self._rest, self._job, str(path))
            log.info("job %s was stopped by somebody else; %s", self._job, words)
        return True

    def _until(self, reached: Callable[[FlinkJob], bool], *, starting: bool = False) -> bool:
        while not self._asked:
            if (job := self._look()) is not None:
                if reached(job):
                    return True
                self._check(job)
                if starting and job.state == "RESTARTING":
                    self._give_up()
            self._asked.wait(EVERY)
        return False

    def _look(self) -> FlinkJob | None:
        """The job now; None while Flink does not answer, which is waited out."""
        try:
            found = self._rest.job(self._job)
            if found is None:
                raise JobFailed(
                    f"Flink at {self._rest.url} knows no job {self._job} any more: was it started "
                    "anew? `newsbeam jobs list` shows what it has"
                )
            if found.state in {"RESTARTING", "FAILING"} or (
                self._told and found.state == "RUNNING"
            ):
                self._tell_restarts()
        except Unreachable as e:
            now = self._clock()
            self._away_since = now if self._away_since is None else self._away_since
            if now - self._said_away >= SAY_AGAIN:
                self._said_away = now
                lasted = span(1000 * (now - self._away_since))
                log.warning("%s; the job may run on, trying again for %s", e, lasted)
            return None
        except FlinkRefused as e:
            log.debug("%s", e)
            return None
        self._away_since = None
        return found

    def _check(self, job: FlinkJob) -> None:
        """Raises what ends us, if the job is over otherwise than it should."""
        if job.state == "CANCELED":
            raise CancelledElsewhere(
                f"job {job.id} was cancelled by somebody else, after {span(job.duration)}: start it "
                "again where its group stands, or from its last checkpoint by "
                f"`{command('resume', job.id, self._rest)}`"
            )
        if job.state == "FAILED":
            raise failure_of(job, next(iter(self._traces()), ""))
        if job.state == "FINISHED":
            raise JobFailed(f"job {job.id} was stopped by somebody else, before it ran")

    def _give_up(self) -> None:
        """Cancels a job that never comes to run, and has been tried often enough."""
        traces = self._traces()
        if len(traces) >= STARTS:
            try:
                self._rest.cancel(self._job)
            except FlinkError as e:
                log.debug("%s", e)
                return
            raise JobFailed(
                f"job {self._job} did not come to run in {len(traces)} attempts and was cancelled: "
                + _words(traces[0])
            )

    def _traces(self) -> list[str]:
        try:
            return self._rest.exceptions(self._job)
        except FlinkError as e:
            log.debug("%s", e)
            return []

    def _tell_restarts(self) -> None:
        """Says why the job restarts, each cause once."""
        for trace in self._traces():
            cause = root_cause(trace)
            if exit_code_of(trace) == TAKEN_OVER:
                # Both would take the stream from each other for ever.
                self._rest.cancel(self._job)
                raise _with_code(JobFailed(f"job {self._job}: {_words(trace)}"), TAKEN_OVER)
            if cause in self._told:
                continue
            self._told.add(cause)
            log.warning("Flink restarts job %s: %s", self._job, cause)

    # ---- when we are to stop ----------------------------------------------------------------------

    def cancelled_unstarted(self) -> bool:
        """Cancels the job if none of its tasks has begun, and says so.

        It waits for slots then: it has read nothing, no savepoint of it can be made, and it would begin
        one day without anybody who follows it.
        """
        if self._settings.on_stop == LEAVE:
            return False
        try:
            job = self._rest.job(self._job)
            if job is None or job.ended or job.tasks.keys() - _UNSTARTED:
                return False
            self._rest.cancel(self._job)
            self._rest.wait_until_ended(self._job)
        except FlinkError as e:
            log.debug("%s", e)
            return False
        log.info("%s: job %s had not begun, and was cancelled", self._asked.name, self._job)
        return True

    def stop(self) -> None:
        """Does with the job what was asked for.

        Raises:
            PipelineFailure: It could not be done; says what became of the job.
        """
        how = self._settings.on_stop
        if how == LEAVE:
            log.info(
                "%s: job %s runs on, %s; `%s` stops it",
                *(self._asked.name, self._job, self._rest.page(self._job)),
                command("stop", self._job, self._rest),
            )
            return
        log.info("%s: stopping job %s with a savepoint", self._asked.name, self._job)
        try:
            path = stop_patiently(self._rest, self._job, self._settings.savepoint_dir, self._clock)
            self._rest.wait_until_ended(self._job)
            if how == DRAIN:
                self._rest.dispose(path)
                log.info("job %s has written what it read, and ended for good", self._job)
            else:
                log.info("stopped; %s", how_to_resume(self._rest, self._job, path))
        except FlinkError as e:
            raise JobFailed(
                f"{e}; job {self._job} may run on: see {self._rest.page(self._job)}, or stop it by "
                f"`{command('stop', self._job, self._rest)}`"
            ) from None
        except KeyboardInterrupt:
            raise JobFailed(
                f"interrupted; job {self._job} may run on: see {self._rest.page(self._job)}"
            ) from None


def stop_patiently(
    rest: FlinkRest,
    job: str,
    directory: str | None,
    clock: Callable[[], float] = time.monotonic,
) -> str:
    """Stops a job with a savepoint; while it starts or restarts, that is tried again.

    Returns:
        The savepoint's path.

    Raises:
        FlinkError: There is none, after minutes.
    """
    deadline = clock() + SAVEPOINT_PATIENCE
    told = False
    while True:
        try:
            now = rest.job(job)
            if now is not None and now.ended:
                raise NoSavepoint(f"job {job} is {now.state} already")
            return rest.stop(job, directory)
        except NoSavepoint as e:
            now = rest.job(job)
            if clock() > deadline or now is None or now.ended:
                raise
            why = str(e)
        except FlinkRefused as e:
            # No folder for savepoints; anything else may be about a job that restarts.
            if e.status not in {404, 409, 500, 503} or clock() > deadline:
                raise
            why = str(e)
        # Else it starts, and nothing is wrong.
        if not told and now is not None and now.running:
            told = True
            log.warning("%s; trying again for %.0f s", why.rstrip("."), SAVEPOINT_PATIENCE)
        time.sleep(EVERY)


def how_to_resume(rest: FlinkRest, job: str, path: str) -> str:
    """The two ways to go on from a savepoint."""
    return (
        f"savepoint {path}; go on with `{command('resume', job, rest)}`, or the same `newsbeam run …` "
        f"and --savepoint_path={path}"
    )


def command(what: str, job: str, rest: FlinkRest) -> str:
    """What to type: `newsbeam jobs WHAT JOB`, and where."""
    words = ["newsbeam", "jobs", what, job, f"--flink_master={rest.url.removeprefix('http://')}"]
    return " ".join(filter(None, words))


def failure_of(job: FlinkJob, trace: str) -> PipelineFailure:
    """Why a job failed, in one line, with the exit code that it has on any runner."""
    failure = JobFailed(f"job {job.id} failed after {span(job.duration)}: {_words(trace)}")
    return _with_code(failure, exit_code_of(trace))


def _words(trace: str) -> str:
    """The cause; of our own failures, which are lines for people, without the class."""
    python = python_cause(trace)
    return python[1] if python and python[0] in _our_failures() else root_cause(trace)


def exit_code_of(trace: str) -> int:
    """The exit code of whatever a worker raised."""
    python = python_cause(trace)
    return _our_failures().get(python[0], 1) if python else 1


def _our_failures() -> dict[str, int]:
    """Exit codes of failures by the names of their classes: only those have come over the wire."""
    # Where there is one with a code of its own.
    import transforms.kafka.faults  # noqa: F401

    found: dict[str, int] = {}
    classes: list[type[PipelineFailure]] = [PipelineFailure]
    for cls in classes:
        found[cls.__name__] = cls.exit_code
        classes += cls.__subclasses__()
    return found


def _with_code(failure: PipelineFailure, code: int) -> PipelineFailure:
    failure.exit_code = code
    return failure
