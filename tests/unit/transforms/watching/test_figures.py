"""Figures: counted here and in Beam, in bundles and outside of them."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter

from transforms.watching import figures
from transforms.watching.figures import FIGURES, NAMESPACE, Figures, Histogram
from transforms.watching.metrics import (
    CATEGORIZED,
    COMMITS,
    COUNTER,
    END_TO_END_SECONDS,
    HISTOGRAM,
    METRICS,
    MODEL,
    READ,
    SECONDS_BEHIND,
    SOURCE_LAG,
)


def shown(of: Figures) -> dict[tuple[str, ...], float | Histogram]:
    return {(s.metric.name, *s.labels): s.value for s in of.samples()}


def test_counters_gauges_and_histograms() -> None:
    mine = Figures()
    mine.add(READ, 3)
    mine.add(CATEGORIZED, 2, "Sports")
    mine.put(SOURCE_LAG, 7, "news:0/1")
    mine.observe(END_TO_END_SECONDS, 0.05, 0.06, 99999.0)
    assert shown(mine) == {
        (READ.name,): 3,
        (CATEGORIZED.name, "Sports"): 2,
        (SOURCE_LAG.name, "news:0/1"): 7,
        (END_TO_END_SECONDS.name,): Histogram([1, 1, *[0] * 13, 1], 99999.11),
    }
    mine.reset()
    assert shown(mine) == {}


def test_a_counter_never_goes_down() -> None:
    mine = Figures()
    mine.add(CATEGORIZED, 2, "Sports")
    mine.add(CATEGORIZED, 1, "Sports", taken_back=True)
    assert mine.total(CATEGORIZED, "Sports") == 2


def test_an_info_is_one_thing_at_a_time() -> None:
    mine = Figures()
    mine.only(MODEL, "a@1")
    mine.only(MODEL, "b@2")
    assert shown(mine) == {(MODEL.name, "b@2"): 1}


def test_ages_grow_and_shards_that_went_away_fade(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(figures.time, "time", lambda: now[0])
    monkeypatch.setattr(figures.time, "monotonic", lambda: now[0])
    mine = Figures()
    mine.put(SECONDS_BEHIND, 990.0, "a")
    now[0] += 5
    assert shown(mine) == {(SECONDS_BEHIND.name, "a"): 15}
    now[0] += figures.FADE_AFTER
    assert shown(mine) == {}


def _count(element: int) -> int:
    FIGURES.add(READ, 2)
    FIGURES.observe(END_TO_END_SECONDS, 0.25, 0.5)
    return element


def test_beam_has_the_same_and_what_was_counted_outside_of_bundles() -> None:
    FIGURES.add(COMMITS, 1, "ok")
    FIGURES.only(MODEL, "m@1")
    pipeline = beam.Pipeline(runner="FnApiRunner")
    _ = pipeline | beam.Create([1]) | beam.Map(_count)
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    counters = {c.key.metric.name: c.committed for c in found["counters"]}
    assert counters == {"read": 2, "commits_ok": 1}
    assert {g.key.metric.name: g.committed.value for g in found["gauges"]} == {"model_m@1": 1}
    [times] = found["distributions"]
    assert times.key.metric.name == "end_to_end_millis"
    assert (times.committed.count, times.committed.min, times.committed.max) == (2, 250, 500)


def test_the_table_is_sound() -> None:
    names = [m.name for m in METRICS]
    assert len(set(names)) == len(names)
    beams = [m.beam for m in METRICS if m.beam]
    assert len(set(beams)) == len(beams)
    for metric in METRICS:
        assert metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.kind == COUNTER), metric.name
        assert bool(metric.buckets) == (metric.kind == HISTOGRAM)
        assert list(metric.buckets) == sorted(metric.buckets)
        assert metric.standard or metric.name.startswith("newsbeam_")
        # Each label tells its series apart in Beam, too.
        assert metric.beam is None or all(f"{{{name}}}" in metric.beam for name in metric.labels)
