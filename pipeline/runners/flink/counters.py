"""Our counters among Flink's metrics: their names, and how they are added up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

#: Flink's name of a metric of ours, between that of the step and our own.
OURS = ".newsbeam_"
CATEGORY, STAGE, READ, TIMES = "categorized_", "dead_letters_", "read", "unreadable_times"
LAG, BEHIND = "lag_", "seconds_behind_"
_COUNTS = (CATEGORY, STAGE, TIMES)


def is_ours(name: str) -> bool:
    """Whether a metric of Flink is one that is shown here."""
    ours = name.rpartition(OURS)[2]
    return OURS in name and (ours == READ or ours.startswith((*_COUNTS, LAG, BEHIND)))


class Counters:
    """Counts of all subtasks, added up over their restarts: each begins at zero again."""

    def __init__(self) -> None:
        self._last: dict[str, dict[str, float]] = defaultdict(dict)
        self._before: dict[str, float] = defaultdict(float)

    def add(self, metrics: Mapping[str, float]) -> None:
        """Takes in what was found, by `SUBTASK.STEP.newsbeam_NAME`."""
        found: dict[str, dict[str, float]] = defaultdict(dict)
        for name, value in metrics.items():
            subtask, _, ours = name.rpartition(OURS)
            if not ours.startswith((LAG, BEHIND)):
                found[subtask][ours] = value
        for subtask, now in found.items():
            last = self._last[subtask]
            # Only that one never goes back while a subtask lives.
            if now.get(READ, 0) < last.get(READ, 0):
                for ours, value in last.items():
                    self._before[ours] += value
                self._last[subtask] = now
            else:
                last.update(now)

    def total(self) -> dict[str, int]:
        """The counts by their names."""
        sums = defaultdict(float, self._before)
        for last in self._last.values():
            for ours, value in last.items():
                sums[ours] += value
        return {ours: int(value) for ours, value in sums.items()}


def named(total: Mapping[str, int], prefix: str) -> dict[str, int]:
    """Counts whose names begin so, without that."""
    return {n.removeprefix(prefix): v for n, v in total.items() if n.startswith(prefix) and v > 0}
