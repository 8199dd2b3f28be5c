"""The tally: what it counts, from how many threads, and for Beam too."""

from __future__ import annotations

import threading

import apache_beam as beam
from apache_beam.metrics import MetricsFilter

from transforms.tally import TALLY, Backlog, Counts, Tally
from transforms.watching.figures import NAMESPACE


def test_it_counts() -> None:
    tally = Tally()
    tally.read(3)
    tally.categorized("Sports")
    tally.categorized("Sports")
    tally.dead_letter("ParseNews")
    counts = tally.snapshot()
    assert counts == Counts(3, {"Sports": 2}, {"ParseNews": 1}, None)
    assert (counts.categorized, counts.dead) == (2, 1)


def test_a_snapshot_does_not_change() -> None:
    tally = Tally()
    tally.categorized("World")
    before = tally.snapshot()
    tally.categorized("World")
    assert before == Counts(0, {"World": 1}, {})


def test_reset_starts_from_zero() -> None:
    tally = Tally()
    tally.read(3)
    tally.dead_letter("x")
    tally.follow("s", lambda: Backlog(1, None))
    tally.reset()
    assert tally.snapshot() == Counts()


def test_what_waits_in_all_sources_is_asked_for_each_time() -> None:
    tally, waiting = Tally(), [Backlog(5, 90.0), Backlog(2, None)]
    tally.follow("a", lambda: waiting[0])
    assert tally.snapshot().backlog == Backlog(5, 90.0)
    tally.follow("b", lambda: waiting[1])
    assert tally.snapshot().backlog == Backlog(7, 90.0)
    waiting[1] = Backlog(1, 80.0)
    assert tally.snapshot().backlog == Backlog(6, 80.0)


def test_where_one_source_does_not_know_nothing_is_said() -> None:
    tally = Tally()
    assert tally.snapshot().backlog is None
    tally.follow("a", lambda: Backlog(5, None))
    tally.follow("b", lambda: None)
    assert tally.snapshot().backlog is None


def test_no_count_is_lost_between_threads() -> None:
    tally = Tally()

    def count() -> None:
        for _ in range(2000):
            tally.read(1)
            tally.categorized("World")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.snapshot() == Counts(8000, {"World": 8000}, {})


def _count(element: int) -> int:
    TALLY.read(1)
    TALLY.categorized("Sports" if element else "World")
    TALLY.dead_letter("ParseNews")
    return element


def _backlog(element: str) -> None:
    TALLY.backlog(element, Backlog(7, 1.0))


def test_what_waits_in_a_shard_is_a_gauge() -> None:
    pipeline = beam.Pipeline(runner="FnApiRunner")
    _ = pipeline | beam.Create(["news:0/1"]) | beam.Map(_backlog)
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["gauges"]
    gauges = {g.key.metric.name: g.committed.value for g in found}
    assert gauges["lag_news:0/1"] == 7
    assert gauges["seconds_behind_news:0/1"] > 1_700_000_000


def test_counts_are_beam_metrics_too() -> None:
    pipeline = beam.Pipeline(runner="FnApiRunner")
    _ = pipeline | beam.Create([0, 1, 1]) | beam.Map(_count)
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]
    assert {c.key.metric.name: c.committed for c in found} == {
        "read": 3,
        "categorized_Sports": 2,
        "categorized_World": 1,
        "dead_letters_ParseNews": 3,
    }
