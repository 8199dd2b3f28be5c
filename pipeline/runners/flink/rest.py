"""A small client of Flink's REST interface: jobs, checkpoints, metrics, stopping with a savepoint."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from pipeline.ends.uris import shown
from pipeline.runners.flink.causes import root_cause
from transforms.errors import ConfigurationError

#: How long Flink may take to answer, in seconds: to connect, and to say something.
TIMEOUT = (5.0, 30.0)
#: Seconds between two questions whether a savepoint is complete.
ASK_EVERY = 0.3
#: States that a job does not leave.
ENDED = frozenset({"FINISHED", "CANCELED", "FAILED"})
#: A name or an address of a machine; IPv6 comes without its brackets.
_HOST = re.compile(r"[\w.:-]+")


class FlinkError(Exception):
    """Something that Flink did not do. Its message is one line."""


class Unreachable(FlinkError):
    """Flink does not answer, or not as Flink does."""


class FlinkRefused(FlinkError):
    """Flink answered that it will not.

    Attributes:
        status: The HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NoSavepoint(FlinkError):
    """A savepoint that was asked for was not made; the job goes on."""


@dataclass(frozen=True)
class FlinkJob:
    """A job, as the list of jobs has it.

    Attributes:
        id: 32 hexadecimal digits.
        name: The name it was given.
        state: `RUNNING`, `RESTARTING`, `FINISHED`, `CANCELED`, `FAILED` and so on.
        started: When, in milliseconds since the epoch.
        duration: How long it has run, or ran, in milliseconds.
        tasks: How many of its tasks are in which state; those in none are left out.
    """

    id: str
    name: str
    state: str
    started: int
    duration: int
    tasks: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state in ENDED

    @property
    def running(self) -> bool:
        """Whether all of its tasks run."""
        running = self.tasks.get("running", 0)
        return self.state == "RUNNING" and running > 0 and running == sum(self.tasks.values())


def url_of(master: str) -> str:
    """The address of Flink's REST interface: `--flink_master`, with `http://` where it has no scheme.

    Raises:
        ConfigurationError: It is no address.
    """
    said = master.strip()
    url = (said if "://" in said else f"http://{said}").rstrip("/")
    try:
        parts = urlsplit(url)
        right = parts.scheme in {"http", "https"} and parts.port != 0
        right = right and _HOST.fullmatch(parts.hostname or "") is not None
    except ValueError:  # a port that is none
        right = False
    if not right:
        raise ConfigurationError(
            f"--flink_master={shown(master)} is no address: give HOST:PORT of Flink's REST interface, "
            "where its page is (8081)"
        )
    return url


class FlinkRest:
    """Asks Flink.

    Args:
        master: `--flink_master`: `host:port`, or a URL.
        sleep: Waits for some seconds.
    """

    def __init__(self, master: str, sleep: Callable[[float], object] = time.sleep) -> None:
        self.url = url_of(master)
        self._session = requests.Session()
        # Flink's address is not for a proxy on the way to the internet, and no password of a .netrc.
        self._session.trust_env = False
        self._sleep = sleep

    # ---- the cluster ------------------------------------------------------------------------------

    def version(self) -> str:
        """The version of Flink."""
        found = self._get("/config").get("flink-version")
        if not isinstance(found, str):
            raise self._no_flink()
        return found

    def overview(self) -> Mapping[str, Any]:
        """How many task managers and slots there are, and how many slots are free."""
        return self._get("/overview")

    def configuration(self) -> dict[str, str]:
        """The configuration of the job manager, passwords left out by Flink; empty where it keeps it."""
        try:
            answer = self._json("GET", "/jobmanager/config")
        except FlinkRefused:
            return {}
        return {str(each["key"]): str(each["value"]) for each in answer}

    def page(self, job: str) -> str:
        """Where a browser shows a job."""
        return f"{self.url}/#/job/{job}/overview"

    # ---- jobs -------------------------------------------------------------------------------------

    def jobs(self) -> list[FlinkJob]:
        """All jobs that Flink remembers, the newest first."""
        said = self._get("/jobs/overview").get("jobs")
        if not isinstance(said, list):
            raise self._no_flink()
        found = [_job(each) for each in said]
        return sorted(found, key=lambda job: -job.started)

    def job(self, id: str) -> FlinkJob | None:
        """A job; None where Flink does not know it."""
        return next((job for job in self.jobs() if job.id == id), None)

    def find(self, said: str) -> FlinkJob:
        """The job that somebody means: its id, the beginning of that, or its name.

        Of several with one name it is the one that runs, or else the newest.

        Raises:
            ConfigurationError: There is none, or several may be meant.
        """
        jobs = self.jobs()
        meant = [job for job in jobs if job.id == said]
        meant = meant or [job for job in jobs if job.name == said]
        meant = meant or [job for job in jobs if len(said) >= 4 and job.id.startswith(said)]
        alive = [job for job in meant if not job.ended]
        if len(alive) > 1 or len({job.name for job in meant}) > 1:
            raise ConfigurationError(
                f"{said!r} may be several jobs: give the id of one, "
                + ", ".join(job.id for job in alive or meant)
            )
        if not meant:
            there_are = ", ".join(f"{job.id} ({job.name}, {job.state})" for job in jobs[:5])
            raise ConfigurationError(
                f"Flink at {self.url} knows no job {said!r}: "
                + (f"it has {there_are}" if jobs else "it has none")
            )
        return (alive or meant)[0]

    def detail(self, job: str) -> Mapping[str, Any]:
        """All that Flink says of a job: its vertices, when it came to which state."""
        return self._get(f"/jobs/{job}")

    def user_config(self, job: str) -> dict[str, str]:
        """The pipeline options that a job was submitted with, as Flink keeps them."""
        execution = self._get(f"/jobs/{job}/config").get("execution-config") or {}
        return {str(k): str(v) for k, v in (execution.get("user-config") or {}).items()}

    def checkpoints(self, job: str) -> Mapping[str, Any]:
        """Counts, sizes and times of checkpoints and savepoints."""
        return self._get(f"/jobs/{job}/checkpoints")

    def exceptions(self, job: str) -> list[str]:
        """What made a job fail or restart: stack traces, the newest first."""
        answer = self._get(f"/jobs/{job}/exceptions")
        entries = (answer.get("exceptionHistory") or {}).get("entries") or []
        found = [str(each.get("stacktrace") or "") for each in entries]
        return found or [str(answer["root-exception"])] if answer.get("root-exception") else found

    def vertices(self, job: str) -> list[Mapping[str, Any]]:
        """The stages of a job, from the source on: `id`, `name`, `parallelism`, `status`."""
        return list(self.detail(job).get("vertices") or [])

    def subtasks(self, job: str, vertex: str) -> list[Mapping[str, Any]]:
        """The subtasks of a stage."""
        return list(self._get(f"/jobs/{job}/vertices/{vertex}").get("subtasks") or [])

    def metrics(self, job: str, vertex: str, wanted: Callable[[str], bool]) -> dict[str, float]:
        """Metrics of a stage, by `SUBTASK.NAME`.

        Flink itself asks its task managers every 10 s (`metrics.fetcher.update-interval`).

        Args:
            job: The job.
            vertex: The stage.
            wanted: Whether a name is asked for.
        """
        path = f"/jobs/{job}/vertices/{vertex}/metrics"
        names = [str(each["id"]) for each in self._json("GET", path)]
        names = [name for name in names if wanted(name)]
        found: dict[str, float] = {}
        for some in _few(names):
            for each in self._json("GET", path, params={"get": ",".join(some)}):
                try:
                    found[str(each["id"])] = float(each["value"])
                except (KeyError, ValueError):
                    continue
        return found

    # ---- what is done with one --------------------------------------------------------------------

    def cancel(self, job: str) -> None:
        """Cancels a job, without a savepoint."""
        self._json("PATCH", f"/jobs/{job}", params={"mode": "cancel"})

    def stop(self, job: str, directory: str | None = None) -> str:
        """Stops a job with a savepoint, and waits until that is there.

        Never with Flink's own drain: that waits for the end of what Beam reads without end.

        Args:
            job: The job.
            directory: Where the savepoint goes; None is where Flink is configured to put them.

        Returns:
            The savepoint's path.

        Raises:
            NoSavepoint: It could not be made; the job goes on.
        """
        body: dict[str, Any] = {"drain": False}
        if directory is not None:
            body["targetDirectory"] = directory
        answer = self._json("POST", f"/jobs/{job}/stop", json=body)
        trigger = answer["request-id"]
        while True:
            answer = self._get(f"/jobs/{job}/savepoints/{trigger}")
            if (answer.get("status") or {}).get("id") == "COMPLETED":
                break
            self._sleep(ASK_EVERY)
        operation = answer.get("operation") or {}
        if location := operation.get("location"):
            return str(location)
        cause = (operation.get("failure-cause") or {}).get("stack-trace") or "Flink says no more"
        raise NoSavepoint(f"no savepoint of job {job}: {root_cause(str(cause))}")

    def dispose(self, savepoint: str) -> None:
        """Deletes a savepoint; Flink does it in its own time."""
        self._json("POST", "/savepoint-disposal", json={"savepoint-path": savepoint})

    def wait_until_ended(self, job: str) -> FlinkJob | None:
        """Waits until a job is over; None where Flink has forgotten it."""
        while (found := self.job(job)) is not None and not found.ended:
            self._sleep(ASK_EVERY)
        return found

    # ---- inside -----------------------------------------------------------------------------------

    def _get(self, path: str) -> Mapping[str, Any]:
        answer = self._json("GET", path)
        if not isinstance(answer, dict):
            raise self._no_flink()
        return answer

    def _no_flink(self, status: str = "") -> Unreachable:
        return Unreachable(
            f"{self.url} answers{status}, but not as Flink does: is it Flink's REST port?"
        )

    def _json(self, method: str, path: str, **more: Any) -> Any:
        try:
            answer = self._session.request(method, self.url + path, timeout=TIMEOUT, **more)
        except requests.RequestException as e:
            raise Unreachable(f"can't reach Flink at {self.url}: {_said(e)}") from None
        try:
            body = answer.json()
        except ValueError:
            raise self._no_flink(f" {answer.status_code}") from None
        if answer.ok:
            return body
        errors = body.get("errors") if isinstance(body, dict) else None
        reason = root_cause("\n".join(map(str, errors or [answer.reason])))
        raise FlinkRefused(f"Flink at {self.url}: {reason}", answer.status_code)


def _job(said: Mapping[str, Any]) -> FlinkJob:
    tasks = {k: int(n) for k, n in (said.get("tasks") or {}).items() if k != "total" and n}
    return FlinkJob(
        str(said["jid"]),
        str(said.get("name") or ""),
        str(said.get("state") or ""),
        int(said.get("start-time") or 0),
        int(said.get("duration") or 0),
        tasks,
    )


def _few(names: Sequence[str], most: int = 40) -> Iterator[Sequence[str]]:
    """As many names at once as an address may be long."""
    for begin in range(0, len(names), most):
        yield names[begin : begin + most]


def _said(error: Exception) -> str:
    """What is wrong with a connection, in a few words."""
    text = str(error)
    if "refused" in text:
        return "connection refused"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if "resol" in text or "Name or service" in text:
        return "no such host"
    return " ".join(text.split())[:200]
