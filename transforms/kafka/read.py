"""Reads news from Kafka: `ReadFromKafka`, on our own splittable DoFn."""

from __future__ import annotations

import copy
import os
import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import apache_beam as beam
from kafka import TopicPartition

from transforms.errors import ConfigurationError
from transforms.kafka.consumers import SharedConsumer, shared_consumer
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.shards import shard_number, start_at
from transforms.kafka.transactions import (
    ShardedGroup,
    ShardTransactions,
    shard_transactions,
)
from transforms.reading import ReadUnbounded, Source
from transforms.records import Message

if TYPE_CHECKING:
    from transforms.kafka.shard_reader import ShardReader

ISOLATION_LEVELS = ("read_committed", "read_uncommitted")
#: What may be done when the records to be read next are no longer in the log.
OFFSET_POLICIES = ("fail", "earliest", "latest")


class KafkaSource(Source):
    """Topics of a Kafka cluster, to be read by one consumer group.

    Args:
        settings: How to reach the cluster.
        topics: The topics.
        group: The consumer group that remembers how far they were read.
        start: Where to begin: `committed`, `earliest`, `latest` or a time. `committed` begins at the
            earliest record where the group has committed nothing.
        shards: How many shards read in parallel; twice the cores by default.
        end: Where to stop, by partition (`--stop_at_end`); None reads for ever.
        isolation_level: `read_committed` leaves out records of aborted transactions.
        exactly_once: Take shards over from their former readers before reading, and leave committing
            to `WriteToKafka(…, source=…)`.
        on_offset_out_of_range: What to do when records were deleted before they were read: `fail`,
            or go on at the `earliest` or `latest` record.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        group: str = "newsbeam",
        *,
        start: str = "committed",
        shards: int | None = None,
        end: Mapping[TopicPartition, int] | None = None,
        isolation_level: str = "read_committed",
        exactly_once: bool = False,
        on_offset_out_of_range: str = "fail",
    ) -> None:
        _check("on_offset_out_of_range", on_offset_out_of_range, OFFSET_POLICIES)
        _check("isolation_level", isolation_level, ISOLATION_LEVELS)
        if exactly_once and isolation_level != "read_committed":
            raise ConfigurationError(
                f"isolation_level={isolation_level!r}: exactly once takes read_committed"
            )
        if shards is not None and shards < 1:
            raise ConfigurationError(f"shards={shards} can't read: give 1 or more")
        self.settings = settings
        self.topics = tuple(sorted(set(topics)))
        self.group = group
        self.start = start_at(start)
        self.end = None if end is None else dict(end)
        self.isolation_level = isolation_level
        self.exactly_once = exactly_once
        self.on_offset_out_of_range = on_offset_out_of_range
        self.shard_count = shards or 2 * (os.cpu_count() or 1)
        self.run = uuid.uuid4().hex

    def shards(self) -> list[str]:
        return [self._name(k) for k in range(self.shard_count)]

    def _name(self, k: int) -> str:
        return f"{'+'.join(self.topics)}:{k}/{self.shard_count}"

    def shard_of(self, tp: TopicPartition) -> str:
        """The shard that reads a partition."""
        return self._name(shard_number(tp, self.topics, self.shard_count))

    def reader(self, shard: str) -> ShardReader:
        from transforms.kafka.shard_reader import ShardReader

        key = (self.settings, self.group, self.run, shard)
        with _readers_lock:
            if key not in _readers:
                _readers[key] = ShardReader(self, shard)
            return _readers[key]

    def consumer(self) -> SharedConsumer:
        """The consumer of this process."""
        return shared_consumer(self.settings, self.group, self.isolation_level)

    def transactions(self, shard: str) -> ShardTransactions:
        """The transactions of a shard in this process."""
        group = ShardedGroup(self.settings, self.group, self.shards(), self.run)
        return shard_transactions(group, shard, self.consumer())

    def ending_at(self, end: Mapping[TopicPartition, int]) -> KafkaSource:
        """The same source, stopping at the given offsets."""
        source = copy.copy(self)
        source.end = dict(end)
        return source


def _check(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name}={value!r} is unknown: give {' or '.join(choices)}")


_readers: dict[tuple[KafkaSettings, str, str, str], ShardReader] = {}
_readers_lock = threading.Lock()


def forget_readers() -> None:
    """Drops the readers of this process, for the next pipeline in it."""
    with _readers_lock:
        _readers.clear()


class ReadFromKafka(beam.PTransform):
    """Reads Kafka records as `Message`s: an unbounded PCollection.

    Unless the source says exactly once, offsets are committed when what was made of a bundle is
    durable: every record is then processed at least once.
    """

    def __init__(self, source: KafkaSource) -> None:
        super().__init__()
        self._source = source

    def expand(self, root: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        return root | ReadUnbounded(self._source)
