"""The values of the metrics in this process, and in Beam's metrics the same.

Every figure goes to two places: here, where the status line and Prometheus find it at any time, and to
Beam, which hands it to the runner with the bundle that it was counted in. What is counted outside of a
bundle (commits, retries, in threads of their own) goes to Beam with the next figure of one.

Handles of Beam's metrics are kept: making one for each count takes ten times as long as the count.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from apache_beam.metrics import Metrics
from apache_beam.runners.worker import statesampler

from transforms.watching.metrics import COUNTER, HISTOGRAM, Metric

NAMESPACE = "newsbeam"
#: What nobody has set for so long is not shown any more, if it fades, in seconds.
FADE_AFTER = 300.0
#: Beam is told again of a gauge that has not changed after so long, in seconds.
TELL_AGAIN_AFTER = 30.0

Labels = tuple[str, ...]
_Key = tuple[Metric, Labels]


@dataclass
class Histogram:
    """How many values fell into each bucket, the last of which has no bound, and their sum."""

    counts: list[int]
    sum: float = 0.0


@dataclass
class _Gauge:
    """A value and when it was set; what Beam was told last, and when."""

    value: float
    at: float
    told: int
    told_at: float


@dataclass(frozen=True)
class Sample:
    """A metric with its labels, and what it says now: a number, or a histogram's buckets."""

    metric: Metric
    labels: Labels
    value: float | Histogram


@dataclass
class _Values:
    counters: Counter[_Key] = field(default_factory=Counter)
    gauges: dict[_Key, _Gauge] = field(default_factory=dict)
    histograms: dict[_Key, Histogram] = field(default_factory=dict)
    #: What Beam is still to be told: increments and values.
    owed: Counter[_Key] = field(default_factory=Counter)
    owed_gauges: dict[_Key, int] = field(default_factory=dict)


class Figures:
    """The figures of one process; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles: dict[_Key, Any] = {}
        self.reset()

    def reset(self) -> None:
        """Starts again from zero."""
        with self._lock:
            self._values = _Values()

    def add(self, metric: Metric, n: int = 1, *labels: str, taken_back: bool = False) -> None:
        """Counts.

        Args:
            metric: A counter.
            n: How many.
            *labels: The values of its labels.
            taken_back: Take them back from Beam's counter, which may go down; ours never does.
        """
        key, values = (metric, labels), self._values
        if taken_back:
            n = -n
        in_bundle = _in_bundle()
        with self._lock:
            if not taken_back:
                values.counters[key] += n
            if not in_bundle:
                values.owed[key] += n
        if in_bundle:
            self._tell_what_is_owed()
            self._tell(key, n)

    def put(self, metric: Metric, value: float, *labels: str) -> None:
        """Sets a gauge; where it is an age, to the moment since which it grows."""
        key, values, now = (metric, labels), self._values, time.monotonic()
        shown = max(0.0, time.time() - value) if metric.age else value
        tell = int(shown * metric.scale)
        in_bundle = _in_bundle()
        with self._lock:
            former = values.gauges.get(key)
            # An idle source says the same all the time, and each time costs a bundle some.
            if former and former.told == tell and now - former.told_at < TELL_AGAIN_AFTER:
                former.value, former.at = value, now
                return
            values.gauges[key] = _Gauge(value, now, tell, now)
            if not in_bundle:
                values.owed_gauges[key] = tell
        if in_bundle:
            self._tell_what_is_owed()
            self._tell(key, tell)

    def only(self, metric: Metric, *labels: str) -> None:
        """Says that an info is this, and what it was before no more."""
        with self._lock:
            gauges = self._values.gauges
            for key in [key for key in gauges if key[0] is metric]:
                del gauges[key]
        self.put(metric, 1, *labels)

    def observe(self, metric: Metric, *values: float) -> None:
        """Takes note of values of a histogram."""
        self.observe_all(metric, values)

    def observe_all(self, metric: Metric, values: Iterable[float]) -> None:
        """Takes note of many values of a histogram."""
        key, found, bounds = (metric, ()), list(values), metric.buckets
        with self._lock:
            histogram = self._values.histograms.get(key)
            if histogram is None:
                histogram = Histogram([0] * (len(bounds) + 1))
                self._values.histograms[key] = histogram
            counts = histogram.counts
            for value in found:
                counts[bisect_left(bounds, value)] += 1
            histogram.sum += sum(found)
        if _in_bundle():
            self._tell_what_is_owed()
            if (handle := self._handle(key)) is not None:
                scale = metric.scale
                for value in found:
                    handle.update(int(value * scale))

    def total(self, metric: Metric, *labels: str) -> int:
        """What a counter says; over all labels, if none are given."""
        with self._lock:
            counters = self._values.counters
            if labels:
                return counters[metric, labels]
            return sum(n for (of, _), n in counters.items() if of is metric)

    def by_label(self, metric: Metric) -> dict[str, int]:
        """What a counter with one label says, by that."""
        with self._lock:
            counters = self._values.counters
            return {labels[0]: n for (of, labels), n in counters.items() if of is metric}

    def samples(self) -> list[Sample]:
        """All there is to be shown now."""
        since, now = time.monotonic() - FADE_AFTER, time.time()
        with self._lock:
            values = self._values
            found = [Sample(*key, n) for key, n in values.counters.items()]
            found += [
                Sample(*key, max(0.0, now - gauge.value) if key[0].age else gauge.value)
                for key, gauge in values.gauges.items()
                if not key[0].fades or gauge.at >= since
            ]
            found += [
                Sample(*key, Histogram(list(h.counts), h.sum))
                for key, h in values.histograms.items()
            ]
        return found

    def _tell_what_is_owed(self) -> None:
        """Tells Beam what was counted outside of bundles."""
        values = self._values
        if not values.owed and not values.owed_gauges:
            return
        with self._lock:
            owed: list[tuple[_Key, int]] = [*values.owed.items(), *values.owed_gauges.items()]
            values.owed.clear()
            values.owed_gauges.clear()
        for key, value in owed:
            self._tell(key, value)

    def _tell(self, key: _Key, value: int) -> None:
        handle = self._handle(key)
        if handle is None:
            return
        if key[0].kind == COUNTER:
            handle.inc(value)
        else:
            handle.set(value)

    def _handle(self, key: _Key) -> Any:
        """Beam's metric; None where it has none."""
        try:
            return self._handles[key]
        except KeyError:
            metric, labels = key
            name = metric.beam_name(labels)
            makes: dict[str, Any] = {COUNTER: Metrics.counter, HISTOGRAM: Metrics.distribution}
            make = makes.get(metric.kind, Metrics.gauge)
            handle = self._handles[key] = None if name is None else make(NAMESPACE, name)
            return handle


def _in_bundle() -> bool:
    """Whether this thread works on a bundle, so that Beam takes what it is told."""
    return statesampler.get_current_tracker() is not None


#: The figures of this process.
FIGURES = Figures()
