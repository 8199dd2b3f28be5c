"""Reads the partitions of one shard, out of what the process fetches for all its shards."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from kafka import TopicPartition
from kafka.errors import KafkaError

from transforms.kafka.arrivals import Arrivals, Look
from transforms.kafka.ends import EndsWatch, end_of
from transforms.kafka.faults import (
    LostOffsets,
    Patience,
    heals,
    persistently,
)
from transforms.kafka.fetcher import Fetcher, OffsetsGone
from transforms.kafka.offsets import RENEW_AFTER, OffsetsClient
from transforms.kafka.shards import Offsets, Positions, from_offsets, to_offsets
from transforms.kafka.subscription import Subscription
from transforms.kafka.transactions import ShardTransactions
from transforms.kafka.turns import Turns
from transforms.kafka.unreadable import fault_of
from transforms.kafka.words import said
from transforms.patience import LOG_INTERVAL
from transforms.reading import Batch, Reader
from transforms.records import KafkaPosition, Message
from transforms.tally import TALLY, Backlog

log = logging.getLogger("newsbeam.kafka")

#: How often a shard looks for offsets that were committed long ago, in seconds.
RENEW_EVERY = 10.0
#: `timestamp_type` of a record whose time is that of the broker which appended it.
_LOG_APPEND_TIME = 1
#: When it was last said that offsets can't be committed: all shards have the same trouble.
_said_at = -LOG_INTERVAL
_said_lock = threading.Lock()


class ShardReader(Reader):
    """Reads one shard of a subscription.

    Args:
        subscription: The subscription.
        shard: The name of the shard.
        offsets: Knows where the group stands.
        fetcher: Has the records.
        ends: Knows where the topics end.
        transactions: Those of the shard, where it is read exactly once.
    """

    def __init__(
        self,
        subscription: Subscription,
        shard: str,
        offsets: OffsetsClient,
        fetcher: Fetcher,
        ends: EndsWatch,
        transactions: ShardTransactions | None,
    ) -> None:
        self._subscription = subscription
        self._name = shard
        self._offsets = offsets
        self._fetcher = fetcher
        self._ends_watch = ends
        self._transactions = transactions
        self._next: Positions = {}
        # Where records are gone: the position that the next one follows all the same.
        self._gaps: Positions = {}
        self._turns: Turns[TopicPartition] = Turns()
        self._handed_out: Offsets | None = None
        self._commit_begun: Offsets | None = None
        self._commit_begun_at = 0.0
        self._looked: Look | None = None
        self._arrivals = Arrivals()
        self._times: dict[TopicPartition, float] = {}
        self._next_renewal = 0.0

    # ---- where to read ---------------------------------------------------------------------------

    def resume(self, position: Offsets | None) -> None:
        if position is not None and position == self._handed_out:
            self._look()
            self._renew()
            return
        if self._transactions is not None:
            # Before the committed offsets are read: afterwards nobody else can commit.
            self._transactions.take_over()
        self._next, self._gaps, self._times = {}, {}, {}
        self._looked, self._arrivals = None, Arrivals()
        ours = self._subscription.owned(self._name, self._ends_watch.latest().ends)
        what = f"starting {self._name}"
        positions = persistently(lambda: self._positions(position, ours), what)
        if self._transactions is not None and position is None:
            self._transactions.move_to(positions)
        self._begin(positions)
        self._check_log_was_cut(positions)
        self._handed_out = position
        self._look()

    def _begin(self, positions: Positions) -> None:
        """Reads partitions from these positions on."""
        if not positions:
            return
        if self._transactions is not None:
            self._transactions.start_at(positions)
        self._fetcher.seek(positions)
        self._next = self._next | positions

    def _positions(self, position: Offsets | None, ours: Collection[TopicPartition]) -> Positions:
        """The offset to read next of each partition that is ours."""
        if position is None and self._subscription.start != "committed":
            # A runner may begin anew before its first checkpoint: on from there, then.
            done = self._offsets.committed(ours, by=self._subscription.run)
            return self._first([tp for tp in ours if tp not in done]) | done
        known = from_offsets(position or {})
        if self._transactions is not None:
            # A checkpoint may be older than what was committed since it was taken.
            committed = self._offsets.committed(known)
            known = {tp: max(offset, committed.get(tp, 0)) for tp, offset in known.items()}
        return known | self._unread([tp for tp in ours if tp not in known])

    def _first(self, partitions: Collection[TopicPartition]) -> Positions:
        """Where the subscription is to begin, wherever the group stands."""
        start = self._subscription.start
        if start == "latest":
            return self._end_of(partitions)
        if isinstance(start, int):
            return self._offsets.at_time(partitions, start)
        return self._offsets.beginning(partitions)

    def _unread(self, partitions: Collection[TopicPartition]) -> Positions:
        """Where the group stands in partitions that this reader has not read: or at their start."""
        return self._offsets.beginning(partitions) | self._offsets.committed(partitions)

    def _end_of(self, partitions: Collection[TopicPartition]) -> Positions:
        return end_of(self._subscription.settings, partitions, self._subscription.isolation_level)

    def _check_log_was_cut(self, positions: Positions) -> None:
        """Finds positions behind the end of the log: at its end we would never look there."""
        end = self._subscription.end or {}
        # Others may have read on since the end was asked for.
        ahead = [tp for tp, offset in positions.items() if offset > end.get(tp, offset)]
        if ahead:
            now = persistently(lambda: self._end_of(ahead), f"starting {self._name}")
            if lost := [tp for tp in ahead if positions[tp] > now[tp]]:
                self._go_on_after(lost)

    def _look(self) -> None:
        """Takes note of where topics end, if somebody has looked; begins partitions that have come."""
        look = self._ends_watch.latest()
        if look is self._looked:
            return
        self._looked = look
        ours = self._subscription.owned(self._name, look.ends)
        if new := [tp for tp in ours if tp not in self._next]:
            log.info("new partitions: %s", ", ".join(f"{tp.topic}-{tp.partition}" for tp in new))
            self._begin(persistently(lambda: self._unread(new), "looking for new partitions"))
        self._arrivals.look(Look(look.asked, {tp: look.ends[tp] for tp in ours}))

    def _renew(self) -> None:
        """Has offsets committed again that were committed long ago, now and then."""
        if self._transactions is not None and time.monotonic() >= self._next_renewal:
            self._next_renewal = time.monotonic() + RENEW_EVERY
            self._transactions.renew()

    # ---- reading ---------------------------------------------------------------------------------

    def poll(self, timeout: float, limit: int) -> Batch:
        self._look()
        messages: list[Message] = []
        for tp, records in self._take(timeout, limit).items():
            end = self._subscription.end.get(tp) if self._subscription.end is not None else None
            for record in records:
                if end is not None and record.offset >= end:
                    break
                follows = self._gaps.pop(tp, self._next[tp])
                messages.append(_message(record, follows))
                self._next[tp] = record.offset + 1
            self._note_time(tp, records[-1])
        self._handed_out = to_offsets(self._next)
        positions, ends = self._fetcher.positions(self._next), self._ends_watch.known()
        until = self._arrivals.until(lambda tp: positions.get(tp, -1))
        return Batch(
            messages,
            self._handed_out,
            watermark=None if until is None else until - self._subscription.max_delay,
            backlog=self.backlog(),
            live=any(positions[tp] >= ends.get(tp, 0) for tp in positions),
        )

    def _take(self, timeout: float, limit: int) -> dict[TopicPartition, list[Any]]:
        try:
            waiting = self._fetcher.waiting(self._next)
            if not waiting.counts and timeout:
                self._fetcher.wait(timeout)
                waiting = self._fetcher.waiting(self._next)
        except OffsetsGone as e:
            self._go_on_after(e.partitions)
            return {}
        return self._fetcher.take(self._turns.share(*waiting, limit))

    def _note_time(self, tp: TopicPartition, record: Any) -> None:
        if record.timestamp is None or record.timestamp < 0:
            return
        seconds = record.timestamp / 1000
        self._times[tp] = seconds
        if record.timestamp_type == _LOG_APPEND_TIME:
            self._arrivals.read(tp, seconds)
        elif self._subscription.trust_timestamps:
            self._arrivals.read(tp, seconds - self._subscription.max_delay)

    def backlog(self) -> Backlog | None:
        """What waits in the shard; None before its first look. May be asked by any thread."""
        if self._looked is None:
            return None
        # A copy: while it is asked, the reader may go on.
        following, ends, times = list(self._next), self._ends_watch.known(), dict(self._times)
        positions = self._fetcher.positions(following)
        behind = {tp: n for tp in following if (n := ends.get(tp, 0) - positions[tp]) > 0}
        # That of the last record read, which is a little older than the next.
        oldest = min((times[tp] for tp in behind if tp in times), default=None)
        return Backlog(sum(behind.values()), oldest)

    def _go_on_after(self, lost: Collection[TopicPartition]) -> None:
        """Goes on in partitions whose next records are gone, if that is allowed."""
        policy = self._subscription.on_offset_out_of_range
        where = ", ".join(self._where(tp) for tp in sorted(lost))
        if policy == "fail":
            raise LostOffsets(
                f"records were deleted before they were read ({where}): raise the topic's retention; "
                "for a topic that was made again, name a new group, ?group=NAME; "
                "or go on with --on_offset_out_of_range=earliest or latest"
            )
        log.error("records were deleted before they were read (%s): going on at %s", where, policy)

        def positions() -> Positions:
            return self._offsets.beginning(lost) if policy == "earliest" else self._end_of(lost)

        found = persistently(positions, "looking for records that are left")
        for tp in lost:
            # The next record follows the position before the gap: we know of it, so it is no hole.
            self._gaps.setdefault(tp, self._next[tp])
            self._next[tp] = found[tp]
        self._fetcher.seek(found)

    def _where(self, tp: TopicPartition) -> str:
        at, end = self._next[tp], self._ends_watch.known().get(tp)
        place = f"{tp.topic}-{tp.partition} at {at}"
        return place if end is None or end >= at else f"{place}, but it ends at {end} now"

    def at_end(self) -> bool:
        end = self._subscription.end
        if end is None:
            return False
        ours = [tp for tp in self._subscription.owned(self._name, end) if end[tp] > 0]
        if not self._next.keys() >= set(ours):
            return False
        positions = self._fetcher.positions(ours)
        return all(positions[tp] >= end[tp] for tp in ours)

    def commit(self, position: Offsets | None) -> Callable[[], None] | None:
        if not position or self._transactions is not None:
            return None
        now = time.monotonic()
        if position == self._commit_begun and now - self._commit_begun_at < RENEW_AFTER:
            return None
        self._commit_begun, self._commit_begun_at = position, now
        offsets = from_offsets(position)
        return lambda: self._commit(offsets)

    def _commit(self, offsets: Positions) -> None:
        """Commits offsets. That they can't be must not stay unsaid: runners are silent about it."""
        group, run = self._subscription.group, self._subscription.run
        patience = Patience("committing offsets")
        while True:
            try:
                self._offsets.commit(offsets, run)
                TALLY.committed(self._name)
                return
            except (KafkaError, OSError) as e:
                if not heals(e):
                    why = f"no offsets of group {group!r} are committed: {said(e)}"
                    break
                patience.wait(e)
        TALLY.uncommitted(self._name, why)
        with _said_lock:
            global _said_at
            if time.monotonic() - _said_at < LOG_INTERVAL:
                return
            _said_at = time.monotonic()
        log.warning(
            "%s; what is written now will be written again at the next start: give the group to "
            "newsbeam alone, or name another, ?group=NAME",
            why,
        )


def _message(record: Any, follows: int) -> Message:
    timestamp = record.timestamp
    return Message(
        value=record.value,
        key=record.key,
        headers=tuple(record.headers or ()),
        timestamp=timestamp if timestamp is not None and timestamp >= 0 else None,
        source=KafkaPosition(record.topic, record.partition, record.offset),
        follows=follows,
        fault=fault_of(record),
    )
