"""The figures of this process as Prometheus scrapes them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator

import apache_beam
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from transforms.watching.figures import FIGURES, Figures, Histogram, Sample
from transforms.watching.health import HEALTH, Health
from transforms.watching.memory import limit
from transforms.watching.metrics import (
    BUILD,
    COUNTER,
    HISTOGRAM,
    MEMORY_LIMIT,
    METRICS,
    READY,
    STANDING_BY,
    UNCOMMITTED,
    Metric,
)


class FiguresCollector(Collector):
    """Gives figures as prometheus-client wants them.

    Args:
        figures: The figures.
        health: Of the same process.
    """

    def __init__(self, figures: Figures = FIGURES, health: Health = HEALTH) -> None:
        self._figures = figures
        self._health = health
        self._limit = limit()
        self._versions = (_version("newsbeam"), apache_beam.__version__)

    def describe(self) -> Iterable[Family]:
        return ()

    def collect(self) -> Iterator[Family]:
        by_metric: dict[Metric, list[Sample]] = {}
        for sample in [*self._of_process(), *self._figures.samples()]:
            by_metric.setdefault(sample.metric, []).append(sample)
        for metric in METRICS:
            if metric.standard:
                continue
            samples = by_metric.get(metric, [])
            # That nothing was counted yet is a figure, too.
            there = {sample.labels for sample in samples}
            samples += [sample for sample in _nothing(metric) if sample.labels not in there]
            if samples:
                yield _family(metric, samples)

    def _of_process(self) -> Iterator[Sample]:
        yield Sample(READY, (), 0.0 if self._health.not_ready() else 1.0)
        yield Sample(STANDING_BY, (), float(self._health.standing_by))
        yield Sample(BUILD, self._versions, 1.0)
        if self._limit is not None:
            yield Sample(MEMORY_LIMIT, (), float(self._limit))


def registry(figures: Figures = FIGURES, health: Health = HEALTH) -> CollectorRegistry:
    """All that is to be scraped of this process."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    made.register(FiguresCollector(figures, health))
    return made


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _nothing(metric: Metric) -> list[Sample]:
    """What a metric says before anything has happened."""
    if metric.labels:
        return [Sample(metric, (value,), 0.0) for value in metric.known]
    if metric.kind == HISTOGRAM:
        return [Sample(metric, (), Histogram([0] * (len(metric.buckets) + 1)))]
    return [Sample(metric, (), 0.0)] if metric.kind == COUNTER or metric is UNCOMMITTED else []


def _family(metric: Metric, samples: Iterable[Sample]) -> Family:
    if metric.kind == HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for sample in samples:
            assert isinstance(sample.value, Histogram)
            histogram.add_metric(sample.labels, _buckets(metric, sample.value), sample.value.sum)
        return histogram
    kind = CounterMetricFamily if metric.kind == COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for sample in samples:
        assert not isinstance(sample.value, Histogram)
        family.add_metric(sample.labels, sample.value)
    return family


def _buckets(metric: Metric, histogram: Histogram) -> list[tuple[str, float]]:
    """The buckets, each with all that is in those before it."""
    bounds, so_far = [*map(str, map(float, metric.buckets)), "+Inf"], 0
    found: list[tuple[str, float]] = []
    for bound, count in zip(bounds, histogram.counts, strict=True):
        so_far += count
        found.append((bound, float(so_far)))
    return found
