"""Outcomes as Kafka records: categorized items encoded, dead letters as they came, headers added."""

from __future__ import annotations

from typing import NamedTuple

from kafka import KafkaProducer
from kafka.record.default_records import DefaultRecordBatchBuilder

from transforms.formats.framing import item_headers
from transforms.item_encoders import JSON_ITEMS, ItemEncoder
from transforms.kafka.settings import KafkaSettings
from transforms.records import (
    HEADER_PREFIX,
    CategorizedItem,
    DeadLetter,
    Headers,
    Message,
    Outcome,
    dead_letter,
    dead_letter_headers,
)
from transforms.tally import TALLY

#: Kafka's default for the largest message of a topic (`max.message.bytes`).
MAX_MESSAGE_BYTES = 1_048_588
#: How much of a payload is kept when not even the dead-letter topic takes all of it, in bytes.
CUT_PAYLOAD = 64 * 1024
#: How little of it is not cut again, where a topic refuses it all the same.
_LEAST_PAYLOAD = 512
_CUT_FROM = HEADER_PREFIX + "cut_from_bytes"
#: No limit of a batch.
_UNLIMITED = 2**31 - 1
#: A record batch's own header, in bytes.
_BATCH_OVERHEAD = 61
#: What comes to key and value of a record without headers at most, in bytes, as `fits_plain` reckons.
_MOST_OVERHEAD = 2 * _BATCH_OVERHEAD + 40


class KafkaTopic(NamedTuple):
    """A topic of a cluster, and what it takes.

    Attributes:
        settings: How to reach the cluster.
        name: Its name.
        max_bytes: Its largest batch, in bytes, compressed as it is sent.
        compacted: Whether it takes no record without a key.
        items: How categorized items are encoded.
    """

    settings: KafkaSettings
    name: str
    max_bytes: int = MAX_MESSAGE_BYTES
    compacted: bool = False
    items: ItemEncoder = JSON_ITEMS


class Origin(NamedTuple):
    """What a categorized item's record was made of, for its dead letter.

    Attributes:
        dead_letters: Where that goes; None gives it back.
        category: Its category.
        model: The model that gave it.
    """

    dead_letters: KafkaTopic | None
    category: str
    model: str


class Outgoing(NamedTuple):
    """A record to be produced, and the message it came from.

    Attributes:
        origin: What a categorized item becomes where its topic does not take it; None for others.
        whole: Whether it is written as it is or not at all; otherwise a dead letter may be cut.
    """

    topic: KafkaTopic
    value: bytes | None
    key: bytes | None
    headers: Headers
    timestamp: int | None
    message: Message | None
    origin: Origin | None = None
    whole: bool = False

    @property
    def fits_plain(self) -> bool:
        """Whether its topic takes a record of this size, as it is."""
        # Few records come near it: to know that of the others needs no exact size.
        most = len(self.value or b"") + len(self.key or b"") + _MOST_OVERHEAD
        if not self.headers and most <= self.topic.max_bytes:
            return True
        size = DefaultRecordBatchBuilder.estimate_size_in_bytes(
            self.key, self.value, self.sent_headers
        )
        return size + _BATCH_OVERHEAD <= self.topic.max_bytes

    @property
    def fits(self) -> bool:
        """Whether its topic takes a record of this size, compressed if need be: brokers count that."""
        return self.fits_plain or self._compressed_size() <= self.topic.max_bytes

    @property
    def sent_headers(self) -> list[tuple[str, bytes]]:
        """The headers, as kafka-python sends them: it has no null, and an empty one comes nearest."""
        return [(name, value or b"") for name, value in self.headers]

    def _compressed_size(self) -> int:
        named = self.topic.settings.for_client("producer").get("compression_type") or "gzip"
        _, codec = KafkaProducer._COMPRESSORS[named]
        batch = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, _UNLIMITED)
        batch.append(0, self.timestamp or 0, self.key, self.value, self.sent_headers)
        return len(batch.build())


class MessageTooLarge(ValueError):
    """The categorized item is larger than its topic takes."""


class KeyMissing(ValueError):
    """The topic takes no record without a key."""


class RecordRefused(ValueError):
    """The brokers don't take the record."""


def encode(
    outcome: Outcome, topic: KafkaTopic, dead_letters: KafkaTopic | None
) -> Outgoing | DeadLetter:
    """The record of an outcome.

    A categorized item is encoded as its topic says, under the key, headers and time of its message
    (the header that names the schema of that message's value stays behind). A dead letter is the
    original value, under its own key, headers and time, with the reasons in `newsbeam.*` headers. An
    item that its topic does not take is a dead letter; a dead letter too large for its own is cut, and
    a header says how large it was.

    Args:
        outcome: A categorized item or a dead letter.
        topic: Where categorized items go.
        dead_letters: Where dead letters go; None gives them back.
    """
    if isinstance(outcome, DeadLetter):
        return outcome if dead_letters is None else _letter(outcome, dead_letters)
    record = _categorized(outcome, topic, dead_letters)
    if topic.compacted and record.key is None:
        why = f"sink {topic.name} is compacted and takes no record without a key"
        return buried(record, KeyMissing(why))
    if not record.fits:
        why = (
            f"its result has {len(record.value or b'')} bytes; topic {topic.name} takes "
            f"{topic.max_bytes}, and it is larger even when compressed"
        )
        return buried(record, MessageTooLarge(why))
    return record


def buried(record: Outgoing, error: Exception) -> Outgoing | DeadLetter:
    """The dead letter of a categorized item that its topic does not take."""
    origin = record.origin
    assert origin is not None
    message = record.message or Message(None)
    letter = dead_letter(message, "WriteToKafka", error, origin.model)
    TALLY.dead_after_all(origin.category, letter.stage)
    return letter if origin.dead_letters is None else _letter(letter, origin.dead_letters)


def made_to_fit(record: Outgoing) -> Outgoing | None:
    """A dead letter that brokers refused for its size, smaller; None where that is of no use."""
    if all(name != _CUT_FROM for name, _ in record.headers):
        return _cut(record)
    value = record.value or b""
    return record._replace(value=value[: len(value) // 2]) if len(value) > _LEAST_PAYLOAD else None


def with_key(record: Outgoing) -> Outgoing:
    """A dead letter with a key, for a topic that takes none without: where it stood in the source."""
    if record.key is not None or record.message is None:
        return record
    return record._replace(key=str(record.message.source or "").encode())


def _categorized(
    outcome: CategorizedItem, topic: KafkaTopic, dead_letters: KafkaTopic | None
) -> Outgoing:
    value, message = topic.items.encode(outcome), outcome.message
    origin = Origin(dead_letters, outcome.category, outcome.model)
    if message is None:
        return Outgoing(topic, value, None, (), None, None, origin)
    return Outgoing(
        topic, value, message.key, item_headers(message), message.timestamp, message, origin
    )


def _letter(letter: DeadLetter, topic: KafkaTopic) -> Outgoing:
    message = letter.message
    # A tombstone needs a key; without one, empty bytes stand for it.
    value = message.value if message.value is not None or message.key is not None else b""
    record = Outgoing(
        topic, value, message.key, dead_letter_headers(letter), message.timestamp, message
    )
    if topic.compacted:
        record = with_key(record)
    return record if record.fits else _cut(record)


def _cut(record: Outgoing) -> Outgoing:
    """A dead letter that fits: its value is cut, and where that is not enough, headers and key are."""
    value, keep = record.value or b"", min(CUT_PAYLOAD, record.topic.max_bytes // 2)
    said = (_CUT_FROM, str(len(value)).encode())
    cut = record._replace(value=value[:keep], headers=(*record.headers, said))
    if not cut.fits:
        ours = tuple(h for h in cut.headers if h[0].startswith(HEADER_PREFIX))
        key = None if record.key is None else record.key[: keep // 2]
        cut = cut._replace(value=value[: keep // 2], key=key, headers=ours)
    return cut
