"""The ledger of the demo: what was produced, what came out of the pipeline, and how long it took."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Totals:
    """The books at one moment.

    Attributes:
        produced: Messages that the broker took.
        categories: Categorized items by category.
        stages: Dead letters by stage.
        waiting: Messages produced that have not come out.
        doubled: Messages that came out more than once.
        latencies: Seconds from produce to output, sorted.
    """

    produced: int
    categories: dict[str, int]
    stages: dict[str, int]
    waiting: int
    doubled: int
    latencies: list[float] = field(repr=False)

    @property
    def categorized(self) -> int:
        """Categorized items over all categories."""
        return sum(self.categories.values())

    @property
    def dead(self) -> int:
        """Dead letters over all stages."""
        return sum(self.stages.values())

    def latency(self, percentile: float) -> float | None:
        """The latency that `percentile` percent of the messages don't exceed, in seconds."""
        if not self.latencies:
            return None
        rank = round(percentile / 100 * (len(self.latencies) - 1))
        return self.latencies[rank]


class Ledger:
    """Books messages in and out by their place in the source, as the position of a record reads.

    Every message must come out exactly once, as a categorized item or as a dead letter. Thread-safe;
    a message may come out before the broker's answer says where it went in.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._produced: dict[str, float] = {}
        self._arrived: Counter[str] = Counter()
        self._first_arrival: dict[str, float] = {}
        self._untimed: set[str] = set()
        self._categories: Counter[str] = Counter()
        self._stages: Counter[str] = Counter()

    def produced(self, place: str, seconds: float, timed: bool = True) -> None:
        """Books a message that was handed to the producer at `seconds`.

        Args:
            place: Where it went.
            seconds: When that was.
            timed: Whether it counts in the latencies; not so where it waited for a pipeline that
                was still starting.
        """
        with self._lock:
            self._produced[place] = seconds
            if not timed:
                self._untimed.add(place)

    def categorized(self, place: str, category: str, seconds: float) -> None:
        """Books a categorized item that came out at `seconds`."""
        with self._lock:
            self._arrive(place, seconds)
            self._categories[category] += 1

    def dead_letter(self, place: str, stage: str, seconds: float) -> None:
        """Books a dead letter that came out at `seconds`."""
        with self._lock:
            self._arrive(place, seconds)
            self._stages[stage] += 1

    def _arrive(self, place: str, seconds: float) -> None:
        self._arrived[place] += 1
        self._first_arrival.setdefault(place, seconds)

    @property
    def settled(self) -> bool:
        """Whether everything produced so far came out."""
        with self._lock:
            return self._produced.keys() <= self._arrived.keys()

    def waiting(self) -> list[str]:
        """The places of messages that were produced and have not come out."""
        with self._lock:
            return sorted(self._produced.keys() - self._arrived.keys())

    def totals(self) -> Totals:
        """The books now."""
        with self._lock:
            return Totals(
                produced=len(self._produced),
                categories=dict(self._categories),
                stages=dict(self._stages),
                waiting=len(self._produced.keys() - self._arrived.keys()),
                doubled=sum(n > 1 for n in self._arrived.values()),
                latencies=sorted(
                    arrived - self._produced[place]
                    for place, arrived in self._first_arrival.items()
                    if place in self._produced and place not in self._untimed
                ),
            )
