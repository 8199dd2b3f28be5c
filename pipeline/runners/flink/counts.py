"""What a job on Flink has counted, out of Flink's metrics, and what waits in its source."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from pipeline.runners.flink.rest import FlinkError, FlinkRest
from transforms.tally import Backlog, Counts

log = logging.getLogger("newsbeam.flink")

#: Seconds between two looks. Flink itself looks every 10 s.
EVERY = 2.0
#: Flink's name of a metric of ours, between that of the step and our own.
OURS = ".newsbeam_"
CATEGORY, STAGE, READ, TIMES = "categorized_", "dead_letters_", "read", "unreadable_times"
LOOKED_UP = "result_cache_"
LAG, BEHIND = "lag_", "seconds_behind_"
_COUNTS = (CATEGORY, STAGE, TIMES, LOOKED_UP)


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


class FlinkCounts:
    """The counts of a job, as `Tally.snapshot` gives those of a process.

    Args:
        rest: Flink.
        job: The job's id.
        backlog: Asks the source's servers what waits; None where they can't tell.
        every: Seconds between two looks.
        clock: Gives seconds that never go back.
    """

    def __init__(
        self,
        rest: FlinkRest,
        job: str,
        backlog: Callable[[], Backlog | None] = lambda: None,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rest = rest
        self._job = job
        self._ask = backlog
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = -float("inf")
        self._counters = Counters()
        self._gauges: dict[str, float] = {}
        self._waits: Backlog | None = None

    def snapshot(self) -> Counts:
        """The counts, at most so many seconds old as Flink's own are."""
        with self._lock:
            if self._clock() - self._looked >= self._every:
                self._look()
                self._looked = self._clock()
            total = self._counters.total()
            cached = named(total, LOOKED_UP)
            return Counts(
                total.get(READ, 0),
                named(total, CATEGORY),
                named(total, STAGE),
                self._backlog(),
                unreadable_times=total.get(TIMES, 0),
                looked_up=sum(cached.values()),
                hits=cached.get("hit", 0),
            )

    def _look(self) -> None:
        try:
            for vertex in self._rest.vertices(self._job):
                found = self._rest.metrics(self._job, str(vertex["id"]), is_ours)
                self._counters.add(found)
                gauges = {n.rpartition(OURS)[2]: v for n, v in found.items()}
                self._gauges |= {n: v for n, v in gauges.items() if n.startswith((LAG, BEHIND))}
        except FlinkError as e:
            # What was known stays; the job is watched elsewhere.
            log.debug("no counts: %s", e)
        try:
            self._waits = self._ask()
        except Exception as e:
            log.debug("no lag: %s", e)

    def _backlog(self) -> Backlog | None:
        """What waits: as the source's servers say, else as its readers last did."""
        lags = [int(v) for n, v in self._gauges.items() if n.startswith(LAG)]
        waits = self._waits or (Backlog(sum(lags), None) if lags else None)
        if waits is None or not waits.messages:
            return waits
        behind = max((v for n, v in self._gauges.items() if n.startswith(BEHIND)), default=0.0)
        return Backlog(waits.messages, time.time() - behind if behind else None)
