"""Writes outcomes to Kafka: `WriteToKafka`, exactly once or at least once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue
from kafka import TopicPartition

from transforms.event_time import event_timestamp
from transforms.kafka.encode import KafkaTopic, Outgoing, encode
from transforms.kafka.producers import deliver
from transforms.kafka.read import KafkaSource
from transforms.records import DeadLetter, KafkaPosition, Outcome, Record

#: Records sent before a bundle's end where they need not be in one transaction: it bounds memory.
DELIVER_AT = 2000


class _Write(beam.DoFn):
    """Sends a bundle's outcomes; the bundle is done when the broker has acknowledged all of them."""

    def __init__(self, topic: KafkaTopic, dead_letters: KafkaTopic | None) -> None:
        super().__init__()
        self._topic = topic
        self._dead_letters = dead_letters

    def start_bundle(self) -> None:
        self._records: list[Outgoing] = []
        self._window: Any = GlobalWindow()

    def process(self, element: Outcome, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        record = encode(element, self._topic, self._dead_letters)
        if isinstance(record, DeadLetter):
            yield record
            return
        if self._dead_letters is None and window != self._window:
            # What is given back is of the window that it came in.
            yield from self._deliver()
            self._window = window
        self._records.append(record)
        if len(self._records) >= DELIVER_AT:
            yield from self._deliver()

    def _deliver(self) -> Iterator[WindowedValue]:
        records, self._records = self._records, []
        for letter in deliver(records):
            yield WindowedValue(letter, event_timestamp(letter.message), (self._window,))

    def finish_bundle(self) -> Iterator[Any]:
        yield from self._deliver()


class _WriteInTransactions(_Write):
    """Writes a bundle's outcomes and source offsets, in one transaction per shard."""

    def __init__(self, topic: KafkaTopic, dead_letters: KafkaTopic, source: KafkaSource) -> None:
        super().__init__(topic, dead_letters)
        self._source = source

    def process(self, element: Outcome) -> Iterator[Any]:  # type: ignore[override]
        record = encode(element, self._topic, self._dead_letters)
        assert isinstance(record, Outgoing)
        self._records.append(record)
        return iter(())

    def finish_bundle(self) -> Iterator[Any]:
        by_shard: dict[str, list[Outgoing]] = {}
        for record in self._records:
            assert record.message is not None
            source = record.message.source
            assert isinstance(source, KafkaPosition)
            shard = self._source.shard_of(TopicPartition(source.topic, source.partition))
            by_shard.setdefault(shard, []).append(record)
        self._records = []
        if len(by_shard) == 1:
            [(shard, records)] = by_shard.items()
            self._source.transactions(shard).commit(records)
        elif by_shard:
            # Each waits for its broker: together they take as long as the slowest.
            with ThreadPoolExecutor(len(by_shard), "newsbeam-commit") as pool:
                commits = [
                    pool.submit(self._source.transactions(shard).commit, records)
                    for shard, records in by_shard.items()
                ]
            for commit in commits:
                commit.result()
        return iter(())


class WriteToKafka(beam.PTransform):
    """Writes outcomes to Kafka: a bundle is done when all replicas have acknowledged it.

    Its output is the dead letters that it did not write: all of them without a topic for them, those
    of items that their topic does not take included.

    Args:
        topic: Where categorized items go.
        dead_letters: Where dead letters go.
        source: The source of the same cluster whose offsets are committed with the outcomes, for
            exactly once; it must be read exactly once too. None writes at least once.
    """

    def __init__(
        self,
        topic: KafkaTopic,
        dead_letters: KafkaTopic | None = None,
        source: KafkaSource | None = None,
    ) -> None:
        super().__init__()
        if source is None:
            self._write: _Write = _Write(topic, dead_letters)
        else:
            if dead_letters is None:
                raise ValueError("exactly once needs a topic for dead letters on the same cluster")
            self._write = _WriteInTransactions(topic, dead_letters, source)

    def expand(self, outcomes: beam.PCollection[Outcome]) -> beam.PCollection[DeadLetter]:
        return outcomes | "Send" >> beam.ParDo(self._write).with_output_types(Record)


class WriteDeadLettersToKafka(beam.PTransform):
    """Writes dead letters to Kafka, at least once."""

    def __init__(self, topic: KafkaTopic) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, letters: beam.PCollection[DeadLetter]) -> beam.PCollection[DeadLetter]:
        return letters | WriteToKafka(self._topic, self._topic)
