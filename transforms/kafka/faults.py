"""What goes wrong with Kafka: what heals by itself is waited out, what does not ends the pipeline."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from kafka.errors import (
    AuthorizationError,
    InvalidProducerEpochError,
    InvalidRecordError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFencedError,
    RecordListTooLargeError,
    SaslAuthenticationFailedError,
)

from transforms.failures import PipelineFailure
from transforms.kafka.settings import KafkaUnavailable
from transforms.kafka.words import said
from transforms.reading import draining

log = logging.getLogger("newsbeam.kafka")
T = TypeVar("T")

#: Waits between attempts, in seconds: the first, and the longest; jittered by half.
FIRST_DELAY, LONGEST_DELAY = 0.1, 10.0
#: At most one log line about trouble in this time, in seconds.
LOG_INTERVAL = 60.0
#: How long a drain waits for a broker that does not come back, in seconds.
DRAIN_PATIENCE = 30.0


class Fenced(PipelineFailure):
    """Another instance reads the same topics for the same group: it goes on where we committed."""

    exit_code = 3


class LostOffsets(PipelineFailure):
    """Records that were to be read are no longer in the log."""


class Hole(PipelineFailure):
    """Committing would skip records: the graph was not fused, or two readers share a shard."""


class KafkaFailure(PipelineFailure):
    """Kafka refuses what was asked, and will again."""


class OfNeighbour(KafkaError):
    """A record was given up with another one that brokers refuse: by itself it may be taken."""

    retriable = True


class Patience:
    """Waits out one kind of trouble: back-off with jitter, and a log line now and then.

    Args:
        what: What is being tried, for the log.
        clock: Gives seconds that never go back.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        what: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._what = what
        self._clock = clock
        self._sleep = sleep
        self._delay = FIRST_DELAY
        self._began: float | None = None

    def wait(self, error: Exception) -> None:
        """Waits before the next attempt.

        Raises:
            Exception: The error, if the pipeline is draining and has been patient.
        """
        now = self._clock()
        if self._began is None:
            self._began = now
        if draining() and now - self._began > DRAIN_PATIENCE:
            raise error
        if _may_log(now):
            # Nearly all of it heals within seconds: only what doesn't is a warning.
            lasted = now - self._began
            level = logging.INFO if lasted < LOG_INTERVAL else logging.WARNING
            log.log(level, "%s: %s; trying again for %.0f s", self._what, said(error), lasted)
        self._sleep(self._delay * random.uniform(0.5, 1.5))
        self._delay = min(self._delay * 2, LONGEST_DELAY)


_logged_at = -LOG_INTERVAL
_logged_lock = threading.Lock()


def _may_log(now: float) -> bool:
    """Whether it is time for a line: all shards have the same trouble at once."""
    global _logged_at
    with _logged_lock:
        if now - _logged_at < LOG_INTERVAL:
            return False
        _logged_at = now
        return True


def is_fencing(error: BaseException) -> bool:
    """Whether an error says that another producer has our transactional id."""
    return isinstance(error, ProducerFencedError | InvalidProducerEpochError) or any(
        # What a client says of itself afterwards.
        name in str(error)
        for name in ("ProducerFencedError", "InvalidProducerEpochError")
    )


def heals(error: BaseException) -> bool:
    """Whether an error may go away by itself."""
    if isinstance(error, AuthorizationError | SaslAuthenticationFailedError):
        return False
    return bool(getattr(error, "retriable", False)) or isinstance(error, OSError)


def is_refused_time(error: BaseException) -> bool:
    """Whether a broker refuses a record for its time: by default one of an hour ahead and more."""
    if isinstance(error, InvalidRecordError):  # what several such records of a batch are given
        return "timestamp" in str(error).lower()
    return isinstance(error, InvalidTimestampError)


def is_refused(error: BaseException) -> bool:
    """Whether a broker refuses a record for what it is: its size, or having no key."""
    if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
        return True
    return isinstance(error, InvalidRecordError) and not is_refused_time(error)


def may_be_sent_again(error: BaseException) -> bool:
    """Whether a record that failed for this may be taken the next time, by itself or mended."""
    # Only another record of its batch was refused.
    of_neighbour = type(error) is KafkaError and "part of a batch" in str(error)
    return heals(error) or of_neighbour or is_refused_time(error) or is_refused(error)


def persistently(action: Callable[[], T], what: str, hint: str = "") -> T:
    """Calls until it works, as long as what goes wrong may heal by itself.

    Args:
        action: What to call.
        what: What that is, for the log and for the failure.
        hint: Added to the failure: what may help.

    Raises:
        KafkaFailure: Kafka refuses.
    """
    patience = Patience(what)
    while True:
        try:
            return action()
        except (KafkaError, KafkaUnavailable, OSError) as e:
            if not heals(e):
                raise KafkaFailure(f"{what}: {said(e)}{hint}") from e
            patience.wait(e)
