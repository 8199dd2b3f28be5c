"""Counts what happens in this process, as Beam metrics and for a live status line.

Local runners (FnApiRunner, Prism) run the steps in the process of the command line but give no
metrics while they run; so every count goes to two places: to a Beam counter, which every runner
reports in its own way, and to a `Tally` of this process.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from apache_beam.metrics import Metrics

from transforms.first_records import FirstRecords

NAMESPACE = "newsbeam"


class Backlog(NamedTuple):
    """What waits in a source.

    Attributes:
        messages: How many messages, about: an end of a transaction may count as one.
        oldest: The time of the oldest of them that is known, in seconds since the epoch.
    """

    messages: int
    oldest: float | None

    @property
    def behind(self) -> float:
        """How long ago that was, in seconds: 0 where nothing waits."""
        return 0.0 if self.oldest is None else max(0.0, time.time() - self.oldest)

    @classmethod
    def together(cls, several: Sequence[Backlog | None]) -> Backlog | None:
        """What waits in several places; None where one of them does not know, or there is none."""
        known = [backlog for backlog in several if backlog is not None]
        if not known or len(known) < len(several):
            return None
        times = [backlog.oldest for backlog in known if backlog.oldest is not None]
        return cls(sum(backlog.messages for backlog in known), min(times, default=None))


@dataclass(frozen=True)
class Counts:
    """A snapshot of a `Tally`.

    Attributes:
        read: Messages read.
        categories: Categorized items by category.
        dead_letters: Dead letters by stage.
        backlog: What waits in the sources; None where that is not known of all of them.
        unreadable_times: Items whose time of publication can't be read.
    """

    read: int = 0
    categories: dict[str, int] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)
    backlog: Backlog | None = None
    unreadable_times: int = 0

    @property
    def categorized(self) -> int:
        """Categorized items over all categories."""
        return sum(self.categories.values())

    @property
    def dead(self) -> int:
        """Dead letters over all stages."""
        return sum(self.dead_letters.values())


class Tally:
    """Thread-safe counts of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Starts again from zero."""
        with self._lock:
            self._read = 0
            self._categories: Counter[str] = Counter()
            self._dead_letters: Counter[str] = Counter()
            self._sources: dict[str, Callable[[], Backlog | None]] = {}
            self._unreadable_times = 0
            self.first = FirstRecords()

    def read(self, n: int) -> None:
        """Counts messages read."""
        with self._lock:
            self._read += n
        Metrics.counter(NAMESPACE, "read").inc(n)

    def categorized(self, category: str) -> None:
        """Counts a categorized item."""
        with self._lock:
            self._categories[category] += 1
        Metrics.counter(NAMESPACE, f"categorized_{category}").inc()

    def dead_letter(self, stage: str) -> None:
        """Counts a dead letter."""
        with self._lock:
            self._dead_letters[stage] += 1
        Metrics.counter(NAMESPACE, f"dead_letters_{stage}").inc()

    def unreadable_time(self) -> None:
        """Counts an item whose time of publication can't be read."""
        with self._lock:
            self._unreadable_times += 1
        Metrics.counter(NAMESPACE, "unreadable_times").inc()

    def backlog(self, shard: str, backlog: Backlog) -> None:
        """Reports what waits in a shard: to Beam only, see `follow`."""
        Metrics.gauge(NAMESPACE, f"lag_{shard}").set(backlog.messages)
        Metrics.gauge(NAMESPACE, f"seconds_behind_{shard}").set(int(backlog.behind))

    def follow(self, source: str, ask: Callable[[], Backlog | None]) -> None:
        """Asks a source what waits in it, whenever somebody wants to know."""
        with self._lock:
            self._sources[source] = ask

    def snapshot(self) -> Counts:
        """The counts now."""
        with self._lock:
            sources = list(self._sources.values())
            counts = self._read, dict(self._categories), dict(self._dead_letters)
            times = self._unreadable_times
        return Counts(*counts, Backlog.together([ask() for ask in sources]), times)


#: The tally of this process.
TALLY = Tally()
