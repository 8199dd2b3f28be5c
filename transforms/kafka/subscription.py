"""What is read of Kafka, by whom and from where: all that a reader needs to know."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kafka import TopicPartition

from transforms.errors import ConfigurationError
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.shards import owned_partitions, shard_number

ISOLATION_LEVELS = ("read_committed", "read_uncommitted")
#: What may be done when the records to be read next are no longer in the log.
OFFSET_POLICIES = ("fail", "earliest", "latest")


@dataclass(frozen=True)
class Subscription:
    """Topics of a Kafka cluster, read by one consumer group in shards.

    Attributes:
        settings: How to reach the cluster.
        topics: The topics, sorted.
        group: The consumer group that remembers how far they were read.
        start: Where to begin: `committed`, `earliest`, `latest`, or a time in milliseconds.
        shard_count: How many shards read in parallel.
        isolation_level: `read_committed` or `read_uncommitted`.
        on_offset_out_of_range: What to do when records were deleted before they were read: `fail`,
            or go on at the `earliest` or `latest`.
        max_delay: How long after its time a record may come to the log, in seconds.
        trust_timestamps: Whether no record comes long before its time either.
        run: What tells this run of the pipeline from others; committed with the offsets.
        exactly_once: Whether the sink commits the offsets, with its outputs.
        end: Where to stop, by partition; None reads for ever.

    Raises:
        ConfigurationError: A setting is none of its choices.
    """

    settings: KafkaSettings
    topics: tuple[str, ...]
    group: str
    start: str | int
    shard_count: int
    isolation_level: str
    on_offset_out_of_range: str
    max_delay: float
    trust_timestamps: bool
    run: str
    exactly_once: bool = False
    end: Mapping[TopicPartition, int] | None = None

    def __post_init__(self) -> None:
        _check("on_offset_out_of_range", self.on_offset_out_of_range, OFFSET_POLICIES)
        _check("isolation_level", self.isolation_level, ISOLATION_LEVELS)
        if self.exactly_once and self.isolation_level != "read_committed":
            raise ConfigurationError(
                f"isolation_level={self.isolation_level!r}: exactly once takes read_committed"
            )
        if self.shard_count < 1:
            raise ConfigurationError(f"shards={self.shard_count} can't read: give 1 or more")
        if not 0 <= self.max_delay < math.inf:
            raise ConfigurationError(
                f"max_delay={self.max_delay} is no delay: give seconds, 0 or more"
            )

    def shards(self) -> list[str]:
        """The names of the shards."""
        return [self._name(k) for k in range(self.shard_count)]

    def _name(self, k: int) -> str:
        return f"{'+'.join(self.topics)}:{k}/{self.shard_count}"

    def shard_of(self, tp: TopicPartition) -> str:
        """The shard that reads a partition."""
        return self._name(shard_number(tp, self.topics, self.shard_count))

    def owned(self, shard: str, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Those of some partitions that a shard reads."""
        k = int(shard.rpartition(":")[2].partition("/")[0])
        return owned_partitions(list(partitions), self.topics, k, self.shard_count)


def _check(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name}={value!r} is unknown: give {' or '.join(choices)}")
