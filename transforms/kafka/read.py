"""Reads news from Kafka: `ReadFromKafka`, on our own splittable DoFn."""

from __future__ import annotations

import copy
import dataclasses
import os
import uuid
from collections.abc import Mapping, Sequence

import apache_beam as beam
from kafka import TopicPartition

from transforms.kafka.session import open_session, session_of
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.shard_reader import ShardReader
from transforms.kafka.shards import start_at
from transforms.kafka.subscription import Subscription
from transforms.kafka.transactions import ShardTransactions
from transforms.reading import MAX_DELAY, ReadUnbounded, Source
from transforms.records import Message
from transforms.tally import Backlog


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
            to `WriteInTransactions(…, source)`.
        on_offset_out_of_range: What to do when records were deleted before they were read: `fail`,
            or go on at the `earliest` or `latest` record.
        max_delay: How long after its time a record may come to the log, in seconds, without being
            late: a window is complete that long after its end, once all that had come by then was
            read.
        trust_timestamps: Promises that no record's time is ahead of the brokers' clock by more than
            `max_delay`. Windows of a backlog then close as it is read, and not only when all of it
            was. Topics with `message.timestamp.type=LogAppendTime` need no promise.

    Raises:
        ConfigurationError: A setting is none of its choices.
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
        max_delay: float = MAX_DELAY,
        trust_timestamps: bool = False,
    ) -> None:
        self.subscription = Subscription(
            settings=settings,
            topics=tuple(sorted(set(topics))),
            group=group,
            start=start_at(start),
            shard_count=2 * (os.cpu_count() or 1) if shards is None else shards,
            isolation_level=isolation_level,
            on_offset_out_of_range=on_offset_out_of_range,
            max_delay=max_delay,
            trust_timestamps=trust_timestamps,
            run=uuid.uuid4().hex,
            exactly_once=exactly_once,
            end=None if end is None else dict(end),
        )

    def shards(self) -> list[str]:
        return self.subscription.shards()

    def shard_of(self, tp: TopicPartition) -> str:
        """The shard that reads a partition."""
        return self.subscription.shard_of(tp)

    def reader(self, shard: str) -> ShardReader:
        return session_of(self.subscription).reader(shard)

    def backlog(self, shard: str) -> Backlog | None:
        session = open_session(self.subscription)
        return None if session is None else session.backlog(shard)

    def transactions(self, shard: str) -> ShardTransactions:
        """The transactions of a shard in this process."""
        return session_of(self.subscription).transactions(shard)

    def ending_at(self, end: Mapping[TopicPartition, int]) -> KafkaSource:
        """The same source, stopping at the given offsets."""
        return self._with(end=dict(end))

    def delivering(self, exactly_once: bool) -> KafkaSource:
        """The same source, for a sink that commits its offsets, or for one that does not."""
        return self._with(exactly_once=exactly_once)

    def _with(self, **changes: object) -> KafkaSource:
        source = copy.copy(self)
        source.subscription = dataclasses.replace(self.subscription, **changes)  # type: ignore[arg-type]
        return source


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
