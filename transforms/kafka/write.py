"""Writes outcomes to Kafka: exactly once by `WriteInTransactions`, at least once to a `KafkaSink`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
from kafka import TopicPartition

from transforms.kafka.encode import KafkaTopic, Outgoing, encode
from transforms.kafka.producers import deliver
from transforms.kafka.read import KafkaSource
from transforms.records import DeadLetter, KafkaPosition, Outcome
from transforms.watching.written import Written
from transforms.writing import Share, Sink, Writer

#: Records sent before a bundle's end where they need not be in one transaction: it bounds memory.
DELIVER_AT = 2000


class KafkaSink(Sink):
    """A topic, written at least once.

    Args:
        topic: The topic.
    """

    def __init__(self, topic: KafkaTopic) -> None:
        self._topic = topic

    def writer(self) -> KafkaWriter:
        return KafkaWriter(self._topic)


class KafkaWriter(Writer):
    """Sends outcomes; `flush` returns when the brokers have acknowledged all of them."""

    def __init__(self, topic: KafkaTopic) -> None:
        self._topic = topic
        self._records: list[Outgoing] = []
        self._refused: list[DeadLetter] = []

    def add(self, outcome: Outcome) -> None:
        # Dead letters have no other place to go; those of items are given back.
        letters = self._topic if isinstance(outcome, DeadLetter) else None
        record = encode(outcome, self._topic, letters)
        if isinstance(record, DeadLetter):
            self._refused.append(record)
        else:
            self._records.append(record)

    @property
    def full(self) -> bool:
        return len(self._records) >= DELIVER_AT

    def flush(self) -> Iterable[DeadLetter]:
        records, refused = self._records, self._refused
        self.forget()
        return [*refused, *deliver(records)]

    def forget(self) -> None:
        self._records, self._refused = [], []


class _WriteInTransactions(beam.DoFn):
    """Writes a bundle's outcomes and source offsets, in one transaction per shard."""

    def __init__(self, topics: Sequence[tuple[Share, KafkaTopic]], source: KafkaSource) -> None:
        super().__init__()
        self._topics = tuple(topics)
        [self._dead_letters] = [topic for share, topic in topics if share.letters]
        self._source = source

    def start_bundle(self) -> None:
        self._records: list[Outgoing] = []

    def process(self, element: Outcome) -> None:
        topic = next(topic for share, topic in self._topics if share.takes(element))
        record = encode(element, topic, self._dead_letters)
        assert isinstance(record, Outgoing)
        self._records.append(record)

    def finish_bundle(self) -> None:
        by_shard: dict[str, list[Outgoing]] = {}
        for record in self._records:
            assert record.message is not None
            source = record.message.source
            assert isinstance(source, KafkaPosition)
            shard = self._source.shard_of(TopicPartition(source.topic, source.partition))
            by_shard.setdefault(shard, []).append(record)
        self._records = []
        began = time.perf_counter()
        committed: list[Outgoing] = []
        if len(by_shard) == 1:
            [(shard, records)] = by_shard.items()
            committed += self._source.transactions(shard).commit(records)
        elif by_shard:
            # Each waits for its broker: together they take as long as the slowest.
            with ThreadPoolExecutor(len(by_shard), "newsbeam-commit") as pool:
                commits = [
                    pool.submit(self._source.transactions(shard).commit, records)
                    for shard, records in by_shard.items()
                ]
            for commit in commits:
                committed += commit.result()
        written = Written()
        for record in committed:
            written.note(record.message, letter=record.origin is None)
        written.durable(began)


class WriteInTransactions(beam.PTransform):
    """Writes outcomes to topics, and commits the offsets of their source with them: exactly once.

    Args:
        topics: Topics of the source's cluster, each with its share: an outcome goes to the first that
            takes it, and there is one for each.
        source: The source, which must be read exactly once.
    """

    def __init__(self, topics: Sequence[tuple[Share, KafkaTopic]], source: KafkaSource) -> None:
        super().__init__()
        self._write = _WriteInTransactions(topics, source)

    def expand(self, outcomes: beam.PCollection[Outcome]) -> beam.PCollection[None]:
        return outcomes | "Send" >> beam.ParDo(self._write)
