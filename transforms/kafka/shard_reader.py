"""Reads the partitions of one shard, through the consumer that all shards of a process share."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from kafka import TopicPartition
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from transforms.kafka.consumers import RENEW_AFTER
from transforms.kafka.ends import end_of
from transforms.kafka.faults import (
    KafkaFailure,
    LostOffsets,
    Patience,
    heals,
    persistently,
)
from transforms.kafka.shards import Offsets, from_offsets, owned_partitions, to_offsets
from transforms.kafka.topics import MissingTopics
from transforms.reading import WATERMARK_SLACK, Batch, Reader
from transforms.records import KafkaPosition, Message

if TYPE_CHECKING:
    from transforms.kafka.consumers import SharedConsumer
    from transforms.kafka.read import KafkaSource
    from transforms.kafka.transactions import ShardTransactions

log = logging.getLogger("newsbeam.kafka")

#: How often a shard looks for partitions that were added, in seconds.
DISCOVERY_INTERVAL = 10.0

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
        # Where records are gone: the position that the next one follows all the same.
        self._gaps: Positions = {}
        self._handed_out: Offsets | None = None
        self._commit_begun: Offsets | None = None
        self._commit_begun_at = 0.0
        self._watermarks: dict[TopicPartition, float] = {}
        self._next_discovery = 0.0
        self._missing = MissingTopics(source.settings, source.topics)
        self._patience = Patience(f"reading {shard}")

    @property
    def _consumer(self) -> SharedConsumer:
        return self._source.consumer()

    def _transactions(self) -> ShardTransactions:
        # They need a consumer: the first one has to find a broker.
        return persistently(lambda: self._source.transactions(self._name), f"starting {self._name}")

    # ---- where to read ---------------------------------------------------------------------------

    def resume(self, position: Offsets | None) -> None:
        if position is not None and position == self._handed_out:
            self._discover()
            return
        if self._source.exactly_once:
            # Before the committed offsets are read: afterwards nobody else can commit.
            self._transactions().take_over()
        self._next, self._gaps = {}, {}
        positions = persistently(lambda: self._positions(position), f"starting {self._name}")
        if self._source.exactly_once and position is None:
            self._transactions().move_to(positions)
        self._begin(positions)
        self._check_log_was_cut(positions)
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
            self._transactions().start_at(positions)

    def _positions(self, position: Offsets | None) -> Positions:
        """The offset to read next of each partition that is ours."""
        ours = self._ours(self._consumer.partitions(self._source.topics))
        if position is None and self._source.start != "committed":
            # A runner may begin anew before its first checkpoint: on from there, then.
            done = self._consumer.committed(ours, by=self._source.run)
            return self._first([tp for tp in ours if tp not in done]) | done
        known = from_offsets(position or {})
        if self._source.exactly_once:
            # A checkpoint may be older than what was committed since it was taken.
            committed = self._consumer.committed(known)
            known = {tp: max(offset, committed.get(tp, 0)) for tp, offset in known.items()}
        return known | self._unread([tp for tp in ours if tp not in known])

    def _first(self, partitions: Collection[TopicPartition]) -> Positions:
        """Where the source is to begin, wherever the group stands."""
        start = self._source.start
        if start == "latest":
            return end_of(self._source.settings, partitions, self._source.isolation_level)
        if isinstance(start, int):
            return self._consumer.at_time(partitions, start)
        return self._consumer.beginning(partitions)

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
        self._missing.found({tp.topic for tp in found})
        new = [tp for tp in self._ours(found) if tp not in self._next]
        if new:
            log.info("new partitions: %s", ", ".join(f"{tp.topic}-{tp.partition}" for tp in new))
            self._begin(persistently(lambda: self._unread(new), what))
        if self._source.exactly_once:
            self._transactions().renew()

    def _check_log_was_cut(self, positions: Positions) -> None:
        """Finds positions behind the end of the log: at its end we would never look there."""
        end = self._source.end or {}
        # Others may have read on since the end was asked for.
        ahead = [tp for tp, offset in positions.items() if offset > end.get(tp, offset)]
        if ahead:
            settings, isolation = self._source.settings, self._source.isolation_level
            now = persistently(lambda: end_of(settings, ahead, isolation), f"starting {self._name}")
            if lost := {tp: positions[tp] for tp in ahead if positions[tp] > now[tp]}:
                self._go_on_after(lost)

    # ---- reading ---------------------------------------------------------------------------------

    def poll(self, timeout: float, limit: int) -> Batch:
        messages: list[Message] = []
        for tp, records in self._take(timeout, limit).items():
            end = self._source.end.get(tp) if self._source.end is not None else None
            for record in records:
                if end is not None and record.offset >= end:
                    break
                follows = self._gaps.pop(tp, self._next[tp])
                messages.append(_message(record, follows))
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
            self._go_on_after(e.args[0])
            return {}
        except LogTruncationError as e:
            self._go_on_after(e.divergent_offsets)
            return {}
        except (KafkaError, OSError) as e:
            if not heals(e):
                raise KafkaFailure(f"reading {self._name}: {e}") from e
            self._patience.wait(e)
            return {}
        self._patience = Patience(f"reading {self._name}")
        return taken

    def _go_on_after(self, lost: Mapping[TopicPartition, object]) -> None:
        """Goes on in partitions whose next records are gone, if that is allowed.

        The consumer is shared, so they may be another shard's: that one goes on by itself from where
        the consumer then stands.
        """
        policy = self._source.on_offset_out_of_range
        where = ", ".join(
            f"{tp.topic}-{tp.partition} at {self._next.get(tp, at)}" for tp, at in lost.items()
        )
        if policy == "fail":
            raise LostOffsets(
                f"records were deleted before they were read ({where}): raise the topic's retention, "
                "or go on with --on_offset_out_of_range=earliest or latest"
            )
        log.error("records were deleted before they were read (%s): going on at %s", where, policy)

        def positions() -> Positions:
            if policy == "earliest":
                return self._consumer.beginning(lost)
            return end_of(self._source.settings, lost, self._source.isolation_level)

        found = persistently(positions, "looking for records that are left")
        for tp in self._next.keys() & lost.keys():
            # The next record follows the position before the gap: we know of it, so it is no hole.
            self._gaps.setdefault(tp, self._next[tp])
            self._next[tp] = found[tp]
        self._consumer.seek(found)

    def _backlog(self) -> dict[TopicPartition, int]:
        waiting = {tp: self._consumer.backlog(tp, offset) for tp, offset in self._next.items()}
        return {tp: n for tp, n in waiting.items() if n}

    def _watermark(self, backlog: Mapping[TopicPartition, int]) -> float:
        """The oldest time among partitions that have more to read: idle ones pin nothing."""
        behind = [self._watermarks[tp] for tp in backlog if tp in self._watermarks]
        return min([time.time() - WATERMARK_SLACK, *behind])

    def at_end(self) -> bool:
        end = self._source.end
        return end is not None and all(
            tp in self._next
            and (self._next[tp] >= end[tp] or (self._consumer.position(tp) or 0) >= end[tp])
            for tp in self._ours(list(end))
            if end[tp] > 0
        )

    def commit(self, position: Offsets | None) -> Callable[[], None] | None:
        if not position or self._source.exactly_once:
            return None
        now = time.monotonic()
        if position == self._commit_begun and now - self._commit_begun_at < RENEW_AFTER:
            return None
        self._commit_begun, self._commit_begun_at = position, now
        consumer, offsets, run = self._consumer, from_offsets(position), self._source.run
        return lambda: persistently(lambda: consumer.commit(offsets, run), "committing offsets")


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
