"""What goes wrong with Kafka: what heals by itself is waited out, what does not ends the pipeline."""

from __future__ import annotations

import logging
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

from transforms import patience
from transforms.failures import PipelineFailure
from transforms.kafka.settings import KafkaUnavailable
from transforms.kafka.words import said

log = logging.getLogger("newsbeam.kafka")
T = TypeVar("T")


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


class Patience(patience.Patience):
    """Waits out one kind of trouble with Kafka."""

    log = log
    said = staticmethod(said)


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
    waiting = Patience(what)
    while True:
        try:
            return action()
        except (KafkaError, KafkaUnavailable, OSError) as e:
            if not heals(e):
                raise KafkaFailure(f"{what}: {said(e)}{hint}") from e
            waiting.wait(e)
