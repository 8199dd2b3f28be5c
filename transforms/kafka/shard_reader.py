"""Reads the partitions of one shard, through the consumer that all shards of a process share."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from kafka import TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from transforms.kafka.ends import end_of
from transforms.kafka.faults import (
    KafkaFailure,
    LostOffsets,
    Patience,
    heals,
    persistently,
)
from transforms.kafka.shards import Offsets, from_offsets, owned_partitions, to_offsets
from transforms.kafka.transactions import fence_other_layouts
from transforms.reading import WATERMARK_SLACK, Batch, Reader
from transforms.records import KafkaPosition, Message

if TYPE_CHECKING:
    from transforms.kafka.consumers import SharedConsumer
    from transforms.kafka.read import KafkaSource

log = logging.getLogger("newsbeam.kafka")

#: How often a shard looks for partitions that were added, in seconds.
DISCOVERY_INTERVAL = 10.0
#: How long a topic may be unknown to the brokers before it counts as deleted, in seconds.
DELETED_AFTER = 60.0

Positions = dict[TopicPartition, int]


class ShardReader(Reader):
    """Reads one shard of a source.

    Args:
        source: The source.
        shard: The name of the shard.
    """

    def __init__(self, source: KafkaSource, shard: str) -> None:
        self._source = source
        self._name = shard
        index, _, count = shard.rpartition(":")[2].partition("/")
        self._shard, self._shards = int(index), int(count)
        self._next: Positions = {}
        self._handed_out: Offsets | None = None
        self._commit_begun: Offsets | None = None
        self._watermarks: dict[TopicPartition, float] = {}
        self._next_discovery = 0.0
        self._missing_since: float | None = None
        self._patience = Patience(f"reading {shard}")

    @property
    def _consumer(self) -> SharedConsumer:
        return self._source.consumer()

    # ---- where to read ---------------------------------------------------------------------------

    def resume(self, position: Offsets | None) -> None:
        if position is not None and position == self._handed_out:
            self._discover()
            return
        if self._source.exactly_once:
            fence_other_layouts(self._source.settings, self._source.group, self._source.shards())
            # Before the committed offsets are read: afterwards nobody else can commit.
            self._source.transactions(self._name).take_over()
        self._next = {}
        positions = persistently(lambda: self._positions(position), f"starting {self._name}")
        self._begin(positions)
        self._handed_out = position
        self._watermarks = {}
        self._next_discovery = time.monotonic() + DISCOVERY_INTERVAL

    def _begin(self, positions: Positions) -> None:
        """Reads partitions from these positions on."""
        if not positions:
            return
        persistently(lambda: self._consumer.seek(positions), f"starting {self._name}")
        self._next |= positions
        if self._source.exactly_once:
            self._source.transactions(self._name).start_at(positions)

    def _positions(self, position: Offsets | None) -> Positions:
        """The offset to read next of each partition that is ours."""
        start = self._source.start
        ours = self._ours(self._consumer.partitions(self._source.topics))
        if position is None and start == "earliest":
            return self._consumer.beginning(ours)
        if position is None and start == "latest":
            return end_of(self._source.settings, ours, self._source.isolation_level)
        if position is None and isinstance(start, int):
            return self._consumer.at_time(ours, start)
        known = from_offsets(position or {})
        if self._source.exactly_once:
            # A checkpoint may be older than what was committed since it was taken.
            committed = self._consumer.committed(known)
            known = {tp: max(offset, committed.get(tp, 0)) for tp, offset in known.items()}
        return known | self._unread([tp for tp in ours if tp not in known])

    def _unread(self, partitions: Collection[TopicPartition]) -> Positions:
        """Where the group stands in partitions that this reader has not read: or at their start."""
        return self._consumer.beginning(partitions) | self._consumer.committed(partitions)

    def _ours(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        return owned_partitions(partitions, self._source.topics, self._shard, self._shards)

    def _discover(self) -> None:
        """Starts to read partitions that have come since."""
        if time.monotonic() < self._next_discovery:
            return
        self._next_discovery = time.monotonic() + DISCOVERY_INTERVAL
        what = "looking for new partitions"
        found = persistently(lambda: self._consumer.partitions(self._source.topics), what)
        self._check_deleted({tp.topic for tp in found})
        new = [tp for tp in self._ours(found) if tp not in self._next]
        if new:
            log.info("new partitions: %s", ", ".join(f"{tp.topic}-{tp.partition}" for tp in new))
            self._begin(persistently(lambda: self._unread(new), what))

    def _check_deleted(self, found: Collection[str]) -> None:
        """Fails if a topic is gone: nothing more would ever come of it."""
        gone = sorted({tp.topic for tp in self._next} - set(found))
        now = time.monotonic()
        if not gone:
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now
        elif now - self._missing_since > DELETED_AFTER:
            raise KafkaFailure(
                f"topic {gone[0]!r} is gone from {self._source.settings.servers}: was it deleted?"
            )

    # ---- reading ---------------------------------------------------------------------------------

    def poll(self, timeout: float, limit: int) -> Batch:
        messages: list[Message] = []
        for tp, records in self._take(timeout, limit).items():
            end = self._source.end.get(tp) if self._source.end is not None else None
            for record in records:
                if end is not None and record.offset >= end:
                    break
                messages.append(_message(record, follows=self._next[tp]))
                self._next[tp] = record.offset + 1
            if records[-1].timestamp is not None:
                self._watermarks[tp] = records[-1].timestamp / 1000
        backlog = self._backlog()
        self._handed_out = to_offsets(self._next)
        return Batch(messages, self._handed_out, self._watermark(backlog), sum(backlog.values()))

    def _take(self, timeout: float, limit: int) -> Mapping[TopicPartition, list[Any]]:
        try:
            taken = self._consumer.take(self._next, timeout, limit)
        except OffsetOutOfRangeError as e:
            self._go_on_after(e)
            return {}
        except (KafkaError, OSError) as e:
            if not heals(e):
                raise KafkaFailure(f"reading {self._name}: {e}") from e
            self._patience.wait(e)
            return {}
        self._patience = Patience(f"reading {self._name}")
        return taken

    def _go_on_after(self, error: OffsetOutOfRangeError) -> None:
        """Goes on where records were deleted before they were read, if that is allowed."""
        lost: Mapping[TopicPartition, int] = error.args[0]
        policy = self._source.on_offset_out_of_range
        where = ", ".join(f"{tp.topic}-{tp.partition} at {offset}" for tp, offset in lost.items())
        if policy == "fail":
            raise LostOffsets(
                f"records were deleted before they were read ({where}): raise the topic's retention, "
                "or go on with --on_offset_out_of_range=earliest or latest"
            ) from error
        log.error("records were deleted before they were read (%s): going on at %s", where, policy)

        def positions() -> Positions:
            if policy == "earliest":
                return self._consumer.beginning(lost)
            return end_of(self._source.settings, lost, self._source.isolation_level)

        # The next record follows the position before the gap: we know of it, so it is no hole.
        self._consumer.seek(persistently(positions, "looking for records that are left"))

    def _backlog(self) -> dict[TopicPartition, int]:
        waiting = {tp: self._consumer.backlog(tp, offset) for tp, offset in self._next.items()}
        return {tp: n for tp, n in waiting.items() if n}

    def _watermark(self, backlog: Mapping[TopicPartition, int]) -> float:
        """The oldest time among partitions that have more to read: idle ones pin nothing."""
        behind = [self._watermarks[tp] for tp in backlog if tp in self._watermarks]
        return min([time.time() - WATERMARK_SLACK, *behind])

    def at_end(self) -> bool:
        if self._source.end is None:
            return False
        return all(
            offset >= end or (self._consumer.position(tp) or 0) >= end
            for tp, offset in self._next.items()
            if (end := self._source.end.get(tp, 0)) > 0
        )

    def commit(self, position: Offsets | None) -> Callable[[], None] | None:
        if not position or position == self._commit_begun or self._source.exactly_once:
            return None
        self._commit_begun = position
        consumer, offsets = self._consumer, from_offsets(position)
        return lambda: persistently(lambda: consumer.commit(offsets), "committing offsets")


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
