"""Reads news from Kafka: `ReadFromKafka`, on our own splittable DoFn."""

from __future__ import annotations

import copy
import datetime
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import apache_beam as beam
from kafka import TopicPartition

from transforms.errors import ConfigurationError
from transforms.kafka.consumers import SharedConsumer, shared_consumer
from transforms.kafka.ends import end_of
from transforms.kafka.settings import KafkaSettings
from transforms.reading import WATERMARK_SLACK, Batch, Reader, ReadUnbounded, Source
from transforms.records import KafkaPosition, Message

#: How often a shard looks for partitions that were added, in seconds.
DISCOVERY_INTERVAL = 10.0

#: `topic:partition` -> next offset: a shard's position as plain data.
Offsets = dict[str, int]


def to_offsets(positions: Mapping[TopicPartition, int]) -> Offsets:
    """A shard's position as plain data."""
    return {f"{tp.topic}:{tp.partition}": offset for tp, offset in positions.items()}


def from_offsets(offsets: Offsets) -> dict[TopicPartition, int]:
    """A shard's position, from plain data."""
    names = ((name.rpartition(":"), offset) for name, offset in offsets.items())
    return {TopicPartition(topic, int(partition)): o for (topic, _, partition), o in names}


def start_at(start: str) -> str | int:
    """Checks a start position.

    Args:
        start: `committed`, `earliest`, `latest`, or a time (RFC 3339, or milliseconds since the
            epoch).

    Returns:
        The word, or the time in milliseconds.

    Raises:
        ConfigurationError: It is none of these.
    """
    if start in {"committed", "earliest", "latest"}:
        return start
    if start.isdigit():
        return int(start)
    try:
        moment = datetime.datetime.fromisoformat(start)
    except ValueError:
        raise ConfigurationError(
            f"start={start!r} is no start position: give committed, earliest, latest, or a time "
            "such as 2026-01-31T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp() * 1000)


def owned_partitions(
    partitions: Sequence[TopicPartition], shard: int, shards: int
) -> list[TopicPartition]:
    """The partitions that shard `shard` of `shards` reads: p mod shards = shard.

    Partitions of a second topic are shifted by one, and so on, so that several topics of one
    partition each don't all fall to one shard.
    """
    topics = sorted({tp.topic for tp in partitions})
    return [tp for tp in partitions if (tp.partition + topics.index(tp.topic)) % shards == shard]


class KafkaSource(Source):
    """Topics of a Kafka cluster, to be read by one consumer group.

    Args:
        settings: How to reach the cluster.
        topics: The topics.
        group: The consumer group that remembers how far they were read.
        start: Where to begin: see `start_at`. `committed` begins at the earliest record where the
            group has committed nothing.
        shards: How many shards read in parallel; twice the cores by default.
        end: Where to stop, by partition (`--stop_at_end`); None reads for ever.
        isolation_level: `read_committed` leaves out records of aborted transactions.
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
    ) -> None:
        if shards is not None and shards < 1:
            raise ConfigurationError(f"shards={shards} can't read: give 1 or more")
        self.settings = settings
        self.topics = tuple(topics)
        self.group = group
        self.start = start_at(start)
        self.end = None if end is None else dict(end)
        self.isolation_level = isolation_level
        self._shards = shards or 2 * (os.cpu_count() or 1)

    def shards(self) -> list[str]:
        names = "+".join(self.topics)
        return [f"{names}:{k}/{self._shards}" for k in range(self._shards)]

    def reader(self, shard: str) -> ShardReader:
        key = (self.settings, self.group, shard)
        if key not in _readers:
            _readers[key] = ShardReader(self, shard)
        reader = _readers[key]
        reader.source = self
        return reader

    def ending_at(self, end: Mapping[TopicPartition, int]) -> KafkaSource:
        """The same source, stopping at the given offsets."""
        source = copy.copy(self)
        source.end = dict(end)
        return source

    def consumer(self) -> SharedConsumer:
        """The consumer of this process."""
        return shared_consumer(self.settings, self.group, self.isolation_level)


class ShardReader(Reader):
    """Reads the partitions of one shard through the process's consumer."""

    def __init__(self, source: KafkaSource, shard: str) -> None:
        self.source = source
        index, _, count = shard.rpartition(":")[2].partition("/")
        self._shard, self._shards = int(index), int(count)
        self._next: dict[TopicPartition, int] = {}
        self._handed_out: Offsets | None = None
        self._watermarks: dict[TopicPartition, float] = {}
        self._committed: Offsets | None = None
        self._next_discovery = 0.0

    def resume(self, position: Offsets | None) -> None:
        if position is not None and position == self._handed_out:
            self._discover()
            return
        wanted = self._resolve(position)
        self.source.consumer().seek(wanted)
        self._next = wanted
        self._handed_out = position
        self._watermarks = {}
        self._next_discovery = time.monotonic() + DISCOVERY_INTERVAL

    def _resolve(self, position: Offsets | None) -> dict[TopicPartition, int]:
        """The offset to read next of each partition that is ours."""
        consumer, start = self.source.consumer(), self.source.start
        ours = owned_partitions(consumer.partitions(self.source.topics), self._shard, self._shards)
        if position is not None:
            known = from_offsets(position)
            new = [tp for tp in ours if tp not in known]
            # A partition that was added while we ran has been read by nobody: from its beginning.
            return known | (consumer.beginning(new) | consumer.committed(new) if new else {})
        if not ours:
            return {}
        if start == "earliest":
            return consumer.beginning(ours)
        if start == "latest":
            return end_of(self.source.settings, ours, self.source.isolation_level)
        if isinstance(start, int):
            return consumer.at_time(ours, start)
        return consumer.beginning(ours) | consumer.committed(ours)

    def _discover(self) -> None:
        """Starts to read partitions that have come since."""
        if time.monotonic() < self._next_discovery:
            return
        self._next_discovery = time.monotonic() + DISCOVERY_INTERVAL
        consumer = self.source.consumer()
        partitions = consumer.partitions(self.source.topics)
        ours = owned_partitions(partitions, self._shard, self._shards)
        new = [tp for tp in ours if tp not in self._next]
        if new:
            positions = consumer.beginning(new) | consumer.committed(new)
            consumer.seek(positions)
            self._next |= positions

    def poll(self, timeout: float, limit: int) -> Batch:
        messages: list[Message] = []
        consumer = self.source.consumer()
        for tp, records in consumer.take(self._next, timeout, limit).items():
            end = self.source.end.get(tp) if self.source.end is not None else None
            for record in records:
                if end is not None and record.offset >= end:
                    break
                messages.append(_message(record, follows=self._next[tp]))
                self._next[tp] = record.offset + 1
            if records[-1].timestamp is not None:
                self._watermarks[tp] = records[-1].timestamp / 1000
        backlog = self._backlog(consumer)
        self._handed_out = to_offsets(self._next)
        return Batch(messages, self._handed_out, self._watermark(backlog), sum(backlog.values()))

    def _backlog(self, consumer: SharedConsumer) -> dict[TopicPartition, int]:
        waiting = {tp: consumer.backlog(tp, offset) for tp, offset in self._next.items()}
        return {tp: n for tp, n in waiting.items() if n}

    def _watermark(self, backlog: Mapping[TopicPartition, int]) -> float:
        """The oldest time among partitions that have more to read: idle ones pin nothing."""
        behind = [self._watermarks[tp] for tp in backlog if tp in self._watermarks]
        return min([time.time() - WATERMARK_SLACK, *behind])

    def at_end(self) -> bool:
        if self.source.end is None:
            return False
        consumer = self.source.consumer()
        return all(
            offset >= end or (consumer.position(tp) or 0) >= end
            for tp, offset in self._next.items()
            if (end := self.source.end.get(tp, 0)) > 0
        )

    def commit(self, position: Offsets | None) -> Callable[[], None] | None:
        if not position or position == self._committed:
            return None
        source, offsets = self.source, from_offsets(position)

        def commit() -> None:
            source.consumer().commit(offsets)

        self._committed = position
        return commit


def _message(record: Any, follows: int) -> Message:
    timestamp = record.timestamp
    return Message(
        value=record.value,
        key=record.key,
        headers=tuple(record.headers or ()),
        timestamp=timestamp if timestamp is not None and timestamp >= 0 else None,
        source=KafkaPosition(record.topic, record.partition, record.offset),
        follows=follows,
    )


_readers: dict[tuple[KafkaSettings, str, str], ShardReader] = {}


class ReadFromKafka(beam.PTransform):
    """Reads Kafka records as `Message`s: an unbounded PCollection.

    Offsets are committed once what was made of a bundle is durable, so every record is processed at
    least once.
    """

    def __init__(self, source: KafkaSource) -> None:
        super().__init__()
        self._source = source

    def expand(self, root: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        return root | ReadUnbounded(self._source)
