"""What the steps count, in their words: the status line's counts, and the metrics (`metrics.py`).

Local runners (FnApiRunner, Prism) run the steps in the process of the command line but give no
metrics while they run; so every count goes to two places: to Beam's metrics, which every runner
reports in its own way, and to the figures of this process (`figures.py`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from transforms.first_records import FirstRecords
from transforms.watching import metrics
from transforms.watching.figures import FIGURES, Figures


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
        looked_up: Texts that were looked up among the results of earlier ones.
        hits: Those of them that were there.
    """

    read: int = 0
    categories: dict[str, int] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)
    backlog: Backlog | None = None
    uncommitted: str | None = None
    bytes_read: BytesRead | None = None
    unreadable_times: int = 0
    looked_up: int = 0
    hits: int = 0

    @property
    def categorized(self) -> int:
        """Categorized items over all categories."""
        return sum(self.categories.values())

    @property
    def dead(self) -> int:
        """Dead letters over all stages."""
        return sum(self.dead_letters.values())


class Tally:
    """Thread-safe counts of one process.

    Args:
        figures: Where they are kept; some of its own by default.
    """

    def __init__(self, figures: Figures | None = None) -> None:
        self.figures = figures or Figures()
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Starts again from zero."""
        self.figures.reset()
        with self._lock:
            self._refused: Counter[str] = Counter()
            self._uncommitted: dict[str, str] = {}
            self._sources: dict[str, Callable[[], Backlog | None]] = {}
            self._bytes_read: Callable[[], BytesRead] | None = None
            self.first = FirstRecords()

    def read(self, n: int) -> None:
        """Counts messages read."""
        self.figures.add(metrics.READ, n)

    def categorized(self, category: str, n: int = 1) -> None:
        """Counts categorized items."""
        self.figures.add(metrics.CATEGORIZED, n, category)

    def classified(self, categories: Mapping[str, int], tokens: int, truncated: int) -> None:
        """Counts categorized items by category, their tokens, and those that were cut."""
        for category, n in categories.items():
            self.categorized(category, n)
        self.figures.add(metrics.TOKENS, tokens)
        self.figures.add(metrics.TRUNCATED, truncated)

    def dead_letter(self, stage: str) -> None:
        """Counts a dead letter."""
        self.figures.add(metrics.DEAD_LETTERS, 1, stage)

    def dead_after_all(self, category: str, stage: str) -> None:
        """Counts a categorized item as a dead letter instead: it could not be written."""
        with self._lock:
            self._refused[category] += 1
        self.figures.add(metrics.CATEGORIZED, 1, category, taken_back=True)
        self.dead_letter(stage)

    def unreadable_time(self) -> None:
        """Counts an item whose time of publication can't be read."""
        self.figures.add(metrics.UNREADABLE_TIMES)

    def looked_up(self, texts: int, hits: int) -> None:
        """Counts texts that were looked up among results, and how many were there."""
        self.figures.add(metrics.RESULT_CACHE, hits, "hit")
        self.figures.add(metrics.RESULT_CACHE, texts - hits, "miss")

    def backlog(self, shard: str, backlog: Backlog) -> None:
        """Reports what waits in a shard: to the metrics only, see `follow`."""
        self.figures.put(metrics.SOURCE_LAG, backlog.messages, shard)
        oldest = time.time() if backlog.oldest is None else backlog.oldest
        self.figures.put(metrics.SECONDS_BEHIND, oldest, shard)

    def committed(self, shard: str) -> None:
        """Counts a commit of a shard's progress."""
        self.figures.add(metrics.COMMITS, 1, "ok")
        self._note_commit(shard, None)

    def uncommitted(self, shard: str, why: str) -> None:
        """Counts a commit that failed, and reports why, until there is one that doesn't."""
        self.figures.add(metrics.COMMITS, 1, "failed")
        self._note_commit(shard, why)

    def _note_commit(self, shard: str, why: str | None) -> None:
        with self._lock:
            self._uncommitted.pop(shard, None)
            if why is not None:
                self._uncommitted[shard] = why
            shards = len(self._uncommitted)
        self.figures.put(metrics.UNCOMMITTED, shards)

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
        figures = self.figures
        with self._lock:
            sources = list(self._sources.values())
            ask_bytes = self._bytes_read
            refused = dict(self._refused)
            uncommitted = next(iter(self._uncommitted.values()), None)
        categories = {
            category: left
            for category, n in figures.by_label(metrics.CATEGORIZED).items()
            if (left := n - refused.get(category, 0)) > 0
        }
        cached = figures.by_label(metrics.RESULT_CACHE)
        return Counts(
            figures.total(metrics.READ),
            categories,
            figures.by_label(metrics.DEAD_LETTERS),
            Backlog.together([ask() for ask in sources]),
            uncommitted,
            ask_bytes() if ask_bytes else None,
            figures.total(metrics.UNREADABLE_TIMES),
            sum(cached.values()),
            cached.get("hit", 0),
        )


#: The tally of this process.
TALLY = Tally(FIGURES)
