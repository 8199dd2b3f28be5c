"""The tally: what it counts, from how many threads, and for Beam too."""

from __future__ import annotations

import threading

import apache_beam as beam
from apache_beam.metrics import MetricsFilter

from transforms.tally import NAMESPACE, TALLY, Counts, Tally


def test_it_counts() -> None:
    tally = Tally()
    tally.read(3)
    tally.categorized("Sports")
    tally.categorized("Sports")
    tally.dead_letter("ParseNews")
    tally.lag("news:0/2", 7)
    tally.lag("news:0/2", 5)
    counts = tally.snapshot()
    assert counts == Counts(3, {"Sports": 2}, {"ParseNews": 1}, {"news:0/2": 5})
    assert (counts.categorized, counts.dead) == (2, 1)


def test_a_snapshot_does_not_change() -> None:
    tally = Tally()
    tally.categorized("World")
    before = tally.snapshot()
    tally.categorized("World")
    tally.lag("s", 1)
    assert before == Counts(0, {"World": 1}, {}, {})


def test_reset_starts_from_zero() -> None:
    tally = Tally()
    tally.read(3)
    tally.dead_letter("x")
    tally.lag("s", 1)
    tally.reset()
    assert tally.snapshot() == Counts()


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
    assert tally.snapshot() == Counts(8000, {"World": 8000}, {}, {})


def _count(element: int) -> int:
    TALLY.read(1)
    TALLY.categorized("Sports" if element else "World")
    TALLY.dead_letter("ParseNews")
    return element


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
