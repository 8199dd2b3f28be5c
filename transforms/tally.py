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


class BytesRead(NamedTuple):
    """How much of a source that ends was read.

    Attributes:
        now: Bytes read.
        total: Bytes in all.
        begun: Bytes that an earlier run had read.
    """

    now: int
    total: int
    begun: int = 0

    @property
    def share(self) -> float:
        """The share that was read; all of nothing."""
        return min(1.0, self.now / self.total) if self.total else 1.0

    def left(self, elapsed: float) -> float | None:
        """About how many seconds the rest takes, once that can be said."""
        read = self.now - self.begun
        return elapsed * max(0, self.total - self.now) / read if read > 0 else None


@dataclass(frozen=True)
class Counts:
    """A snapshot of a `Tally`.

    Attributes:
        read: Messages read.
        categories: Categorized items by category.
        dead_letters: Dead letters by stage.
        backlog: What waits in the sources; None where that is not known of all of them.
        uncommitted: Why the progress of a source can't be committed, if it can't.
        bytes_read: How much of the files was read, where the source is files.
        unreadable_times: Items whose time of publication can't be read.
    """

    read: int = 0
    categories: dict[str, int] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)
    backlog: Backlog | None = None
    uncommitted: str | None = None
    bytes_read: BytesRead | None = None
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
            self._uncommitted: dict[str, str] = {}
            self._sources: dict[str, Callable[[], Backlog | None]] = {}
            self._bytes_read: Callable[[], BytesRead] | None = None
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

    def dead_after_all(self, category: str, stage: str) -> None:
        """Counts a categorized item as a dead letter instead: it could not be written."""
        with self._lock:
            self._categories[category] -= 1
        Metrics.counter(NAMESPACE, f"categorized_{category}").dec()
        self.dead_letter(stage)

    def unreadable_time(self) -> None:
        """Counts an item whose time of publication can't be read."""
        with self._lock:
            self._unreadable_times += 1
        Metrics.counter(NAMESPACE, "unreadable_times").inc()

    def backlog(self, shard: str, backlog: Backlog) -> None:
        """Reports what waits in a shard: to Beam only, see `follow`."""
        Metrics.gauge(NAMESPACE, f"lag_{shard}").set(backlog.messages)
        Metrics.gauge(NAMESPACE, f"seconds_behind_{shard}").set(int(backlog.behind))

    def uncommitted(self, shard: str, why: str | None) -> None:
        """Reports why a shard's progress can't be committed; None once it was."""
        with self._lock:
            self._uncommitted.pop(shard, None)
            if why is not None:
                self._uncommitted[shard] = why

    def follow(self, source: str, ask: Callable[[], Backlog | None]) -> None:
        """Asks a source what waits in it, whenever somebody wants to know."""
        with self._lock:
            self._sources[source] = ask

    def follow_bytes(self, ask: Callable[[], BytesRead]) -> None:
        """Asks how much of the files was read, whenever somebody wants to know."""
        with self._lock:
            self._bytes_read = ask

    def snapshot(self) -> Counts:
        """The counts now."""
        with self._lock:
            sources = list(self._sources.values())
            ask_bytes = self._bytes_read
            categories = {category: n for category, n in self._categories.items() if n > 0}
            counts = self._read, categories, dict(self._dead_letters)
            uncommitted = next(iter(self._uncommitted.values()), None)
            times = self._unreadable_times
        return Counts(
            *counts,
            Backlog.together([ask() for ask in sources]),
            uncommitted,
            ask_bytes() if ask_bytes else None,
            times,
        )


#: The tally of this process.
TALLY = Tally()
