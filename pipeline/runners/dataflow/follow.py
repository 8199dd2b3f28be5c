"""Follows a job of Dataflow to its end: states, messages, counts; and what a signal does to it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from pipeline.runners.endings import CancelledElsewhere
from pipeline.runners.words import line_of
from transforms.failures import PipelineFailure

log = logging.getLogger("newsbeam")

#: Seconds between two looks at a job, and between two lines of counts.
LOOK_EVERY = 5.0
COUNT_EVERY = 60.0
#: How often the reason of a failure is asked for, which comes later than the failure.
LAST_LOOKS = 10

_ENDED = {"DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED"}
_LEVELS = {
    "JOB_MESSAGE_WARNING": logging.WARNING,
    "JOB_MESSAGE_ERROR": logging.ERROR,
    "JOB_MESSAGE_BASIC": logging.INFO,
}


class Place(NamedTuple):
    """Which job it is.

    Attributes:
        project: Its project.
        region: Its region.
        id: Its id.
    """

    project: str
    region: str
    id: str

    @property
    def page(self) -> str:
        """Its page."""
        return (
            f"https://console.cloud.google.com/dataflow/jobs/{self.region}/{self.id}"
            f"?project={self.project}"
        )


class Follower:
    """Follows a job.

    Args:
        client: Beam's client of Dataflow, as its runner has made it.
        place: Which job.
        wait: Waits so many seconds, or less; true ends the following, and leaves the job.
    """

    def __init__(
        self,
        client: Any,
        place: Place,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._client = client
        self._place = place
        self._wait = wait or threading.Event().wait
        self._said: set[str] = set()
        self._since: Any = None
        self._errors: list[str] = []
        self._counted = time.monotonic()

    def to_its_end(self) -> bool:
        """Follows the job until it has ended.

        Returns:
            Whether it has; false where it was left before.

        Raises:
            PipelineFailure: It failed.
            CancelledElsewhere: Somebody has cancelled it, or put another in its place.
        """
        before = None
        while True:
            state = self.state()
            if state != before:
                log.info("job %s: %s", self._place.id, _in_words(state))
                before = state
            self._hear()
            if state in _ENDED:
                break
            self._count()
            if self._wait(LOOK_EVERY):
                return False
        if state == "FAILED":
            raise PipelineFailure(f"job {self._place.id} failed: {self._reason()}")
        if state in {"CANCELLED", "UPDATED"}:
            what = "was cancelled" if state == "CANCELLED" else "was replaced by an update"
            raise CancelledElsewhere(f"job {self._place.id} {what}: {self._place.page}")
        return True

    def state(self) -> str:
        """The state of the job, as `RUNNING`."""
        found = self._client.get_job(self._place.id).current_state
        name: str = getattr(found, "name", str(found))
        return name.removeprefix("JOB_STATE_")

    def drain(self) -> None:
        """Asks the job to finish what it has read, and end."""
        self._client.modify_job_state(self._place.id, "JOB_STATE_DRAINING")

    def _hear(self) -> None:
        """Logs what the job has said since the last time."""
        token = None
        while True:
            messages, token = self._client.list_messages(
                self._place.id, start_time=self._since, page_token=token
            )
            for message in messages:
                self._say(message)
            if not token:
                return

    def _say(self, message: Any) -> None:
        # Asked for from a time on, the last ones come again.
        key = f"{message.time} {message.message_text}"
        if key in self._said:
            return
        self._said.add(key)
        if self._since is None or message.time > self._since:
            self._since = message.time
        importance = message.message_importance
        level = _LEVELS.get(getattr(importance, "name", ""), logging.DEBUG)
        if level == logging.ERROR:
            self._errors.append(message.message_text)
        log.log(level, "Dataflow: %s", line_of(message.message_text))

    def _reason(self) -> str:
        """Why it failed: of what a traceback says, else the last error that was told."""
        for _ in range(LAST_LOOKS):
            if self._errors or self._wait(min(LOOK_EVERY, 1.0)):
                break
            self._hear()
        told = [text for text in self._errors if "Traceback" in text] or self._errors
        return line_of(told[-1]) if told else f"see {self._place.page}"

    def _count(self) -> None:
        """Logs the job's counts now and then."""
        if time.monotonic() - self._counted < COUNT_EVERY:
            return
        self._counted = time.monotonic()
        if counts := self.counts():
            log.info("%s", ", ".join(f"{name} {count:,}" for name, count in counts.items()))

    def counts(self) -> dict[str, int]:
        """Newsbeam's own counters, over all workers, as the job tells them so far."""
        try:
            metrics = self._client.get_job_metrics(self._place.id).metrics
        except Exception as e:  # counts are worth no failure
            log.debug("asking for counts: %s", e)
            return {}
        found: dict[str, int] = {}
        for each in metrics:
            context = dict(each.name.context)
            if context.get("namespace") == "newsbeam" and "tentative" not in context:
                number = _number(each.scalar)
                if number is not None:
                    found[each.name.name] = found.get(each.name.name, 0) + number
        return dict(sorted(found.items()))


def _number(scalar: Any) -> int | None:
    """The number that a metric holds, as the client gives it."""
    value = getattr(scalar, "number_value", scalar)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _in_words(state: str) -> str:
    return state.lower().replace("_", " ")
