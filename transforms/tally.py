"""Counts what happens in this process, as Beam metrics and for a live status line.

Local runners (FnApiRunner, Prism) run the steps in the process of the command line but give no
metrics while they run; so every count goes to two places: to a Beam counter, which every runner
reports in its own way, and to a `Tally` of this process.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from apache_beam.metrics import Metrics

NAMESPACE = "newsbeam"


@dataclass(frozen=True)
class Counts:
    """A snapshot of a `Tally`.

    Attributes:
        read: Messages read.
        categories: Categorized items by category.
        dead_letters: Dead letters by stage.
        lag: Messages that wait in the source by shard; shards that don't know theirs are left out.
    """

    read: int = 0
    categories: dict[str, int] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)
    lag: dict[str, int] = field(default_factory=dict)

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
            self._lag: dict[str, int] = {}

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

    def lag(self, shard: str, messages: int) -> None:
        """Notes how many messages wait in a shard."""
        with self._lock:
            self._lag[shard] = messages

    def snapshot(self) -> Counts:
        """The counts now."""
        with self._lock:
            return Counts(
                self._read, dict(self._categories), dict(self._dead_letters), dict(self._lag)
            )


#: The tally of this process.
TALLY = Tally()
