"""What a local runner keeps while a stream runs, and that Beam's worker is quiet."""

from __future__ import annotations

import gc
import itertools
import threading
import types
from collections.abc import Callable

import apache_beam as beam
import pytest
from apache_beam.metrics import Metrics, monitoring_infos
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.worker import sdk_worker
from apache_beam.runners.worker.statesampler import get_current_tracker

from pipeline import beam_workarounds
from pipeline.beam_workarounds import (
    hush_worker,
    merge_metrics_now_and_then,
    without_beams_metrics,
    without_sampling,
)
from tests.unit.fakes import world
from tests.unit.running import local_pipeline
from transforms.reading import ReadUnbounded, drain, undrain

BUNDLES = 30


def _unfinished_metrics() -> int:
    """How many bundles' metrics wait to be added up."""
    code = monitoring_infos.consolidate.__code__
    return sum(isinstance(o, types.GeneratorType) and o.gi_code is code for o in gc.get_objects())


def _kept_after_bundles() -> int:
    """What is kept after many bundles, just before the pipeline ends."""
    kept = 0
    with world({"idle": 0}, ends=False) as w:
        polls = itertools.count()

        def end_after_bundles() -> None:
            nonlocal kept
            if next(polls) == BUNDLES:
                kept = _unfinished_metrics()
                drain()

        w.on_empty = end_after_bundles
        try:
            with local_pipeline() as p:
                _ = p | ReadUnbounded(w.source) | beam.Map(lambda message: message)
        finally:
            undrain()
    return kept


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts back what the functions replace."""
    monkeypatch.setattr(fn_runner, "consolidate_monitoring_infos", monitoring_infos.consolidate)


@pytest.mark.usefixtures("restored")
def test_the_metrics_of_ended_bundles_are_not_kept() -> None:
    gc.collect()
    # Beam as it is: if this fails, it was mended there, and our help can go.
    assert _kept_after_bundles() >= BUNDLES
    merge_metrics_now_and_then()
    gc.collect()
    before = _unfinished_metrics()
    assert _kept_after_bundles() - before <= 1


@pytest.mark.usefixtures("restored")
def test_metrics_are_added_up_when_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam_workarounds, "MANY_METRICS", 4)
    merge_metrics_now_and_then()
    merge = fn_runner.consolidate_monitoring_infos
    one = monitoring_infos.int64_user_counter("newsbeam", "read", 2)
    few = merge(iter([one, one]))
    assert len(few) == 2
    [added_up] = merge([*few, one, one])
    assert monitoring_infos.extract_counter_value(added_up) == 8


def test_beam_s_worker_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed: Callable[..., None] = print
    monkeypatch.setattr(sdk_worker, "print", printed, raising=False)
    hush_worker()
    sdk_worker.print("Traceback")
    assert capsys.readouterr().out == ""


_in_bundle: list[tuple[bool, bool]] = []


def _look_around(element: int) -> int:
    """Notes whether Beam knows of the bundle, and whether a thread samples it."""
    sampled = any(
        getattr(getattr(thread, "_target", None), "__self__", None) is get_current_tracker()
        for thread in threading.enumerate()
    )
    _in_bundle.append((get_current_tracker() is not None, sampled))
    Metrics.counter("test", "elements").inc()
    return element


def _run() -> list[object]:
    """Runs a bundle, and gives back the counters that it has reported."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    _ = pipeline | beam.Create([1]) | beam.Map(_look_around)
    result = pipeline.run()
    result.wait_until_finish()
    return result.metrics().query()["counters"]


def test_no_thread_samples_the_steps() -> None:
    _in_bundle.clear()
    _run()
    with without_sampling():
        _run()
    assert get_current_tracker() is None
    _run()
    assert _in_bundle == [(True, True), (True, False), (True, True)]


def test_bundles_report_no_metrics_where_nobody_asks() -> None:
    assert _run()
    with without_beams_metrics():
        assert not _run()
    assert _run()
