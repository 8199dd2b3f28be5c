"""`newsbeam jobs`: jobs on a Flink cluster, listed, watched, stopped, resumed and upgraded."""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.runners.flink.rest import FlinkJob, FlinkRest
    from pipeline.runners.flink.submission import Submission

app = typer.Typer(
    help="Jobs on a Flink cluster: list, look at, stop, resume and upgrade them.",
    no_args_is_help=True,
)


def _checked_folder(uri: str | None) -> str | None:
    from pipeline.runners.remote import check_folder

    if uri is not None:
        check_folder(uri)
    return uri


_Master = Annotated[
    str,
    typer.Option(
        "--flink_master",
        metavar="HOST:PORT",
        help="Flink's REST interface, where its page is.",
        envvar="NEWSBEAM_FLINK_MASTER",
    ),
]
_Job = Annotated[
    str,
    typer.Argument(metavar="JOB", help="A job's id, the beginning of it, or its name."),
]
_Folder = Annotated[
    str | None,
    typer.Option(
        "--savepoint_dir",
        metavar="URI",
        help="Folder for the savepoint, which Flink's job and task managers can write to. Default: as "
        "Flink is configured.",
        envvar="NEWSBEAM_SAVEPOINT_DIR",
        callback=_checked_folder,
    ),
]
#: For options of `run`, which are handed on.
_TAKES_ANY = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command("list")
def list_(flink_master: _Master) -> int:
    """List the jobs that Flink remembers, the newest first."""
    from pipeline.runners.flink.report import in_list

    with _flink(flink_master) as rest:
        jobs = rest.jobs()
        if not jobs:
            _say(f"no jobs at {rest.url}")
        for line in in_list(jobs) if jobs else ():
            print(line)
    return 0


@app.command("status")
def status(job: _Job, flink_master: _Master) -> int:
    """Show a job: state, counts of each subtask, what waits, checkpoints, and why it restarted.

    Counts are those since the last start of each subtask, up to 10 s old.
    """
    from pipeline.runners.flink.report import in_full

    with _flink(flink_master) as rest:
        for line in in_full(rest, rest.find(job)):
            print(line)
    return 0


@app.command("stop")
def stop(
    job: _Job,
    flink_master: _Master,
    savepoint_dir: _Folder = None,
    drain: Annotated[
        bool,
        typer.Option(
            "--drain",
            help="End it for good: it writes what it has read, and no savepoint is kept. Another run "
            "goes on where the group stands.",
        ),
    ] = False,
) -> int:
    """Stop a job with a savepoint, from which it can be resumed; the path is printed on stdout."""
    from pipeline.runners.flink.follow import how_to_resume, stop_patiently

    with _flink(flink_master) as rest:
        found = rest.find(job)
        _need_alive(rest, found)
        path = stop_patiently(rest, found.id, savepoint_dir)
        rest.wait_until_ended(found.id)
        if drain:
            rest.dispose(path)
            _say(f"job {found.id} has written what it read, and ended for good")
        else:
            print(path)
            _say(f"stopped; {how_to_resume(rest, found.id, path)}")
    return 0


@app.command("resume", context_settings=_TAKES_ANY)
def resume(
    context: typer.Context,
    from_: Annotated[
        str,
        typer.Argument(
            metavar="JOB|SAVEPOINT",
            help="A job that has ended, as long as Flink remembers it: its last savepoint, or the "
            "checkpoint that it kept, with the options that it had. Or the path of a savepoint, "
            "followed by the options of `newsbeam run`.",
        ),
    ],
    flink_master: _Master,
) -> int:
    """Start a job again from a savepoint; returns when it runs.

    Any option of `newsbeam run` may follow: it takes the place of what the job had.

    `newsbeam jobs resume JOB --model=NEW`
    """
    from pipeline.runners.flink.follow import command

    with _flink(flink_master) as rest:
        if "/" in from_ or ":" in from_:
            path, kept, arguments = from_, None, list(context.args)
        else:
            found = rest.find(from_)
            if not found.ended:
                raise _wrong(
                    f"job {found.id} is {found.state}: `{command('upgrade', found.id, rest)}` puts "
                    "another in its place"
                )
            kept = _kept(rest, found.id)
            path = _last_point(rest, found.id)
            arguments = kept.with_changes(context.args)
        run = _Prepared(arguments, rest.url)
        run.check(kept)
        _say(f"resuming from {path}")
        run.start(path)
    return 0


@app.command("upgrade", context_settings=_TAKES_ANY)
def upgrade(
    context: typer.Context,
    job: _Job,
    flink_master: _Master,
    savepoint_dir: _Folder = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry_run", help="Only check, and show what would be submitted."),
    ] = False,
) -> int:
    """Put this newsbeam, or other options, in a running job's place; returns when the new one runs.

    Options of `newsbeam run` that follow take the place of those that the job has:

    `newsbeam jobs upgrade JOB --model=NEW`

    All is checked first. Then the job is stopped with a savepoint, and the new one goes on from there:
    nothing is lost, and nothing comes twice where delivery is exactly once. If the new one does not
    come to run, the way back is said. What can't change: topics, group, --shards.
    """
    with _flink(flink_master) as rest:
        found = rest.find(job)
        _need_alive(rest, found)
        kept = _kept(rest, found.id)
        run = _Prepared(kept.with_changes(context.args), rest.url)
        run.check(kept)
        if dry_run:
            print(shlex.join(["newsbeam", "run", *run.arguments]))
            return 0
        from pipeline.runners.flink.follow import command, stop_patiently

        path = stop_patiently(rest, found.id, savepoint_dir)
        rest.wait_until_ended(found.id)
        _say(f"stopped job {found.id} with savepoint {path}")
        try:
            run.start(path)
        except BaseException:
            _say(
                f"the new job did not come to run. To go back: `{command('resume', found.id, rest)}` "
                "with the old newsbeam, or\n  "
                + shlex.join(
                    [
                        "newsbeam",
                        "run",
                        *kept.as_it_was(),
                        f"--flink_master={rest.url}",
                        f"--savepoint_path={path}",
                    ]
                )
            )
            raise
    return 0


# ---- inside ----------------------------------------------------------------------------------------


class _Prepared:
    """A run that is checked before it is started.

    Args:
        arguments: The options of `newsbeam run`.
        url: The address of Flink's REST interface.
    """

    def __init__(self, arguments: Sequence[str], url: str) -> None:
        from pipeline.commands.parsed import parse_run
        from pipeline.logs import set_up

        # What the runner sets and warns of matters here as it does for `run`.
        set_up("info")
        self.arguments = [
            *(each for each in arguments if each != "--detach"),
            "--detach",
        ]
        if not any(each.startswith("--runner") for each in self.arguments):
            self.arguments.append("--runner=FlinkRunner")
        self._options, beams = parse_run(self.arguments)
        self._beams = [*beams, f"--flink_master={url}"]

    def check(self, kept: Submission | None) -> None:
        """Checks all that can be checked, and against what the savepoint was taken of.

        Raises:
            ConfigurationError: Something can't work, or can't change.
            BundleError: The model can't be used.
        """
        from pipeline.preflight import check
        from pipeline.run import beam_options, built, leave_nothing
        from pipeline.runners.flink.submission import reads_of, submission_in

        parsed = beam_options(self._beams)
        runners = logging.getLogger("newsbeam.flink")
        before = runners.level
        # It says the same once more when it is started.
        runners.setLevel(logging.ERROR)
        try:
            ends = check(self._options, parsed)
        finally:
            runners.setLevel(before)
        with contextlib.closing(ends):
            leave_nothing(built(self._options, parsed, ends))
        if kept is not None:
            new = submission_in(parsed)
            if why := kept.obstacle(reads_of(ends), new.job_server if new else None):
                raise _wrong(why)

    def start(self, path: str) -> None:
        """Submits it from a savepoint, and waits until it runs.

        Raises:
            Exception: It does not.
        """
        from pipeline.run import execute

        execute(self._options, [*self._beams, f"--savepoint_path={path}"])


@contextlib.contextmanager
def _flink(master: str) -> Iterator[FlinkRest]:
    """Flink; what it does not do is one line."""
    from pipeline.runners.flink.rest import FlinkError, FlinkRest
    from transforms.failures import PipelineFailure

    try:
        yield FlinkRest(master)
    except FlinkError as e:
        raise PipelineFailure(str(e)) from None


def _kept(rest: FlinkRest, job: str) -> Submission:
    """What a job was submitted with."""
    from pipeline.runners.flink.submission import Submission

    kept = Submission.found_in(rest.user_config(job))
    if kept is None:
        raise _wrong(
            f"job {job} doesn't tell what it was submitted with: it is no job of newsbeam's, or of an "
            "older one; stop it with `newsbeam jobs stop`, then `newsbeam jobs resume SAVEPOINT` with "
            "all options of `newsbeam run`"
        )
    return kept


def _last_point(rest: FlinkRest, job: str) -> str:
    """The last savepoint of a job, or the checkpoint that it kept; whichever is newer."""
    latest = rest.checkpoints(job).get("latest") or {}
    points = [point for name in ("savepoint", "completed") if (point := latest.get(name))]
    points = [point for point in points if "/" in str(point.get("external_path") or "")]
    if not points:
        raise _wrong(
            f"job {job} left neither savepoint nor checkpoint: start it anew with `newsbeam run`, which "
            "goes on where the group stands"
        )
    newest = max(points, key=lambda point: int(point.get("latest_ack_timestamp") or 0))
    return str(newest["external_path"])


def _need_alive(rest: FlinkRest, job: FlinkJob) -> None:
    from pipeline.runners.flink.follow import command

    if job.ended:
        raise _wrong(
            f"job {job.id} is {job.state}: `{command('resume', job.id, rest)}` starts it again"
        )


def _wrong(message: str) -> Exception:
    from transforms.errors import ConfigurationError

    return ConfigurationError(message)


def _say(line: str) -> None:
    print(f"newsbeam: {line}", file=sys.stderr)
