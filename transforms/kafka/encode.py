"""Outcomes as Kafka records: categorized items as JSON, dead letters as they came, headers added."""

from __future__ import annotations

from typing import NamedTuple

from kafka.record.default_records import DefaultRecordBatchBuilder

from transforms.kafka.settings import KafkaSettings
from transforms.records import (
    HEADER_PREFIX,
    DeadLetter,
    Headers,
    Message,
    Outcome,
    categorized_to_json,
    dead_letter,
    dead_letter_headers,
)
from transforms.tally import TALLY

#: Kafka's default for the largest message of a topic (`max.message.bytes`).
MAX_MESSAGE_BYTES = 1_048_588
#: How much of a payload is kept when not even the dead-letter topic takes all of it, in bytes.
CUT_PAYLOAD = 64 * 1024
#: A record batch's own header, in bytes.
_BATCH_OVERHEAD = 61


class KafkaTopic(NamedTuple):
    """A topic of a cluster, and what it takes.

    Attributes:
        settings: How to reach the cluster.
        name: Its name.
        max_bytes: Its largest batch, in bytes, compressed as it is sent.
        compacted: Whether it takes no record without a key.
    """

    settings: KafkaSettings
    name: str
    max_bytes: int = MAX_MESSAGE_BYTES
    compacted: bool = False


class Outgoing(NamedTuple):
    """A record to be produced, and the message it came from."""

    topic: KafkaTopic
    value: bytes | None
    key: bytes | None
    headers: Headers
    timestamp: int | None
    message: Message | None

    @property
    def fits(self) -> bool:
        """Whether its topic takes a record of this size."""
        headers = [(name, value or b"") for name, value in self.headers]
        size = DefaultRecordBatchBuilder.estimate_size_in_bytes(self.key, self.value, headers)
        return size + _BATCH_OVERHEAD <= self.topic.max_bytes


class MessageTooLarge(ValueError):
    """The categorized item is larger than its topic takes."""


def encode(
    outcome: Outcome, topic: KafkaTopic, dead_letters: KafkaTopic | None
) -> Outgoing | DeadLetter:
    """The record of an outcome.

    A categorized item is JSON under the key, headers and time of its message. A dead letter is the
    original value, under its own key, headers and time, with the reasons in `newsbeam.*` headers. An
    item too large for its topic is a dead letter; a dead letter too large for its own is cut, and a
    header says how large it was.

    Args:
        outcome: A categorized item or a dead letter.
        topic: Where categorized items go.
        dead_letters: Where dead letters go; None gives them back.
    """
    if not isinstance(outcome, DeadLetter):
        record = _categorized(outcome, topic)
        if record.fits:
            return record
        error = MessageTooLarge(
            f"its result has {len(record.value or b'')} bytes; topic {topic.name} takes "
            f"{topic.max_bytes}"
        )
        outcome = dead_letter(
            outcome.message or Message(None), "WriteToKafka", error, outcome.model
        )
        TALLY.dead_letter(outcome.stage)
    if dead_letters is None:
        return outcome
    record = _dead_letter(outcome, dead_letters)
    return record if record.fits else _cut(record)


def _categorized(outcome: Outcome, topic: KafkaTopic) -> Outgoing:
    assert not isinstance(outcome, DeadLetter)
    value, message = categorized_to_json(outcome), outcome.message
    if message is None:
        return Outgoing(topic, value, None, (), None, None)
    return Outgoing(topic, value, message.key, message.user_headers, message.timestamp, message)


def _dead_letter(letter: DeadLetter, topic: KafkaTopic) -> Outgoing:
    message = letter.message
    # A tombstone needs a key; without one, empty bytes stand for it.
    value = message.value if message.value is not None or message.key is not None else b""
    return Outgoing(
        topic, value, message.key, dead_letter_headers(letter), message.timestamp, message
    )


def _cut(record: Outgoing) -> Outgoing:
    """A dead letter that fits: its value is cut, and where that is not enough, headers and key are."""
    value, keep = record.value or b"", min(CUT_PAYLOAD, record.topic.max_bytes // 2)
    said = (HEADER_PREFIX + "cut_from_bytes", str(len(value)).encode())
    cut = record._replace(value=value[:keep], headers=(*record.headers, said))
    if not cut.fits:
        ours = tuple(h for h in cut.headers if h[0].startswith(HEADER_PREFIX))
        key = None if record.key is None else record.key[: keep // 2]
        cut = cut._replace(value=value[: keep // 2], key=key, headers=ours)
    return cut
