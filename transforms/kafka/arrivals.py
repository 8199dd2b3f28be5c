"""Until when all that has arrived in a shard's partitions was read: what its watermark rests on.

What time the records carry that still wait, nobody can know: producers' clocks go wrong, and a topic
may hold records in any order. But who looks where partitions end, and has then read up to there, has
read all that was appended before the look. The watermark of a shard is the time of the last look that
it has read up to, less the time that a record may take from its producer to the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from kafka import TopicPartition

#: Who is far behind needs not remember each look: one in this part of the time that it is behind.
PART = 1 / 16
_NEVER = float("-inf")


class Look(NamedTuple):
    """Where the partitions of topics ended.

    Attributes:
        asked: When the brokers were asked, in seconds since the epoch: whatever came later, came then.
        ends: The offset after the last record of each partition, those in open transactions and those
            that are not replicated yet included; None where no leader answered.
    """

    asked: float
    ends: Mapping[TopicPartition, int | None]


class _Partition:
    """Attributes: `until`: all that had arrived by then was read; `pending`: looks to read up to."""

    def __init__(self) -> None:
        self.until = _NEVER
        self.pending: deque[tuple[float, int]] = deque()

    def look(self, asked: float, end: int) -> None:
        # Of a log that was cut, no more than what is left will come.
        if self.pending and self.pending[-1][1] > end:
            self.pending = deque((then, min(before, end)) for then, before in self.pending)
        if len(self.pending) > 1:
            (first, _), (last_but_one, _) = self.pending[0], self.pending[-2]
            if asked - last_but_one < PART * (asked - first):
                self.pending.pop()
        self.pending.append((asked, end))

    def read_to(self, position: int) -> float:
        while self.pending and self.pending[0][1] <= position:
            self.until = max(self.until, self.pending.popleft()[0])
        return self.until


class Arrivals:
    """Follows what has arrived in the partitions of a shard, and what of it was read."""

    def __init__(self) -> None:
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._asked = _NEVER

    def look(self, look: Look) -> None:
        """Takes note of where all partitions of the shard ended."""
        for tp, end in look.ends.items():
            partition = self._partitions.setdefault(tp, _Partition())
            if end is not None:
                partition.look(look.asked, end)
        self._asked = look.asked

    def read(self, tp: TopicPartition, appended: float) -> None:
        """Takes note of when a record that was read had been appended, where that is known."""
        partition = self._partitions.setdefault(tp, _Partition())
        partition.until = max(partition.until, appended)

    def until(self, position: Callable[[TopicPartition], int]) -> float | None:
        """All that had arrived by this time was read, in seconds since the epoch.

        Args:
            position: The offset up to which a partition was read; -1 where it was not begun.

        Returns:
            The time; None before the first.
        """
        # A partition that was made after the last look has nothing older than that look.
        found = min(
            (p.read_to(position(tp)) for tp, p in self._partitions.items()), default=self._asked
        )
        found = min(found, self._asked)
        return None if found == _NEVER else found
