"""Writes outcomes to Kafka: `WriteToKafka`, categorized items to one topic, dead letters to another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from kafka import KafkaProducer
from kafka.errors import MessageSizeTooLargeError

from transforms.kafka.settings import KafkaSettings
from transforms.records import (
    HEADER_PREFIX,
    DeadLetter,
    Headers,
    Outcome,
    Record,
    categorized_to_json,
    dead_letter,
    dead_letter_headers,
)
from transforms.tally import TALLY

#: How much of a payload is kept when not even the dead-letter topic takes all of it, in bytes.
CUT_PAYLOAD = 64 * 1024


class KafkaTopic(NamedTuple):
    """A topic of a cluster."""

    settings: KafkaSettings
    name: str


class KafkaRecord(NamedTuple):
    """A record to be produced."""

    value: bytes | None
    key: bytes | None
    headers: Headers
    timestamp: int | None


def to_record(outcome: Outcome) -> KafkaRecord:
    """The Kafka record of an outcome.

    A categorized item is JSON under the key, headers and time of its message. A dead letter is the
    original value, under its own key, headers and time, with the reasons in `newsbeam.*` headers.
    """
    message = outcome.message
    if isinstance(outcome, DeadLetter):
        assert message is not None
        # A tombstone needs a key; without one, empty bytes stand for it.
        value = message.value if message.value is not None or message.key is not None else b""
        return KafkaRecord(value, message.key, dead_letter_headers(outcome), message.timestamp)
    value = categorized_to_json(outcome)
    if message is None:
        return KafkaRecord(value, None, (), None)
    return KafkaRecord(value, message.key, message.user_headers, message.timestamp)


def cut(record: KafkaRecord) -> KafkaRecord:
    """The same dead letter with a payload short enough for any topic; a header says its full size."""
    value = record.value or b""
    size = str(len(value)).encode()
    return record._replace(
        value=value[:CUT_PAYLOAD],
        headers=(*record.headers, (HEADER_PREFIX + "cut_from_bytes", size)),
    )


class _Write(beam.DoFn):
    """Sends a bundle's outcomes; the bundle is done when the broker has acknowledged all of them."""

    def __init__(self, topic: KafkaTopic, dead_letters: KafkaTopic | None) -> None:
        super().__init__()
        self._topic = topic
        self._dead_letters = dead_letters

    def start_bundle(self) -> None:
        self._sent: list[Any] = []

    def process(self, element: Outcome) -> Iterator[DeadLetter]:
        if isinstance(element, DeadLetter):
            return self._bury(element)
        try:
            self._send(self._topic, to_record(element))
        except MessageSizeTooLargeError as e:
            assert element.message is not None
            letter = dead_letter(element.message, "WriteToKafka", e, element.model)
            TALLY.dead_letter(letter.stage)
            return self._bury(letter)
        return iter(())

    def _bury(self, letter: DeadLetter) -> Iterator[DeadLetter]:
        if self._dead_letters is None:
            return iter((letter,))
        record = to_record(letter)
        try:
            self._send(self._dead_letters, record)
        except MessageSizeTooLargeError:
            self._send(self._dead_letters, cut(record))
        return iter(())

    def _send(self, topic: KafkaTopic, record: KafkaRecord) -> None:
        self._sent.append(
            shared_producer(topic.settings).send(
                topic.name,
                value=record.value,
                key=record.key,
                # kafka-python has no null headers; an empty one comes nearest.
                headers=[(name, value or b"") for name, value in record.headers],
                timestamp_ms=record.timestamp,
            )
        )

    def finish_bundle(self) -> None:
        for settings in {t.settings for t in (self._topic, self._dead_letters) if t}:
            shared_producer(settings).flush()
        sent, self._sent = self._sent, []
        for future in sent:
            future.get()


class WriteToKafka(beam.PTransform):
    """Writes outcomes to Kafka: each bundle is acknowledged by all replicas before it is done.

    Its output is the dead letters that it did not write: all of them without a topic for them, those
    of items too large for their topic included.

    Args:
        topic: Where categorized items go.
        dead_letters: Where dead letters go.
    """

    def __init__(self, topic: KafkaTopic, dead_letters: KafkaTopic | None = None) -> None:
        super().__init__()
        self._topic = topic
        self._dead_letters = dead_letters

    def expand(self, outcomes: beam.PCollection[Outcome]) -> beam.PCollection[DeadLetter]:
        write = beam.ParDo(_Write(self._topic, self._dead_letters)).with_output_types(Record)
        return outcomes | "Send" >> write


class WriteDeadLettersToKafka(beam.PTransform):
    """Writes dead letters to Kafka."""

    def __init__(self, topic: KafkaTopic) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, letters: beam.PCollection[DeadLetter]) -> beam.PCollection[DeadLetter]:
        return letters | WriteToKafka(self._topic, self._topic)


_producers: dict[KafkaSettings, KafkaProducer] = {}
_producers_lock = threading.Lock()


def shared_producer(settings: KafkaSettings) -> KafkaProducer:
    """The producer of this process for a cluster: idempotent, all replicas, batched a little."""
    with _producers_lock:
        if settings not in _producers:
            _producers[settings] = settings.producer(acks="all", linger_ms=5)
        return _producers[settings]


def close_producers() -> None:
    """Closes all producers of this process: their next use makes new ones."""
    with _producers_lock:
        for producer in _producers.values():
            producer.close()
        _producers.clear()
