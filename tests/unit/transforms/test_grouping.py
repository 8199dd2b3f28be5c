"""Windows of an endless stream: where none would fire, that is said in one line."""

from __future__ import annotations

import logging

import apache_beam as beam
import pytest
from apache_beam.transforms.window import FixedWindows

from tests.unit.fakes import world
from transforms.grouping import warn_of_groupings
from transforms.reading import ReadUnbounded


def said(caplog: pytest.LogCaptureFixture, runner: str, *, windowed: bool, run: bool) -> list[str]:
    """What is logged of a pipeline that reads without end."""
    caplog.clear()
    with world({"a": 2}, ends=True) as w, caplog.at_level(logging.WARNING, "newsbeam"):
        pipeline = beam.Pipeline(runner=runner)
        read = pipeline | ReadUnbounded(w.source)
        if windowed:
            counted = read | beam.WindowInto(FixedWindows(60)) | beam.Map(lambda m: (1, 1))
            _ = counted | "Sum" >> beam.CombinePerKey(sum)
        if run:
            pipeline.run()
        else:
            warn_of_groupings(pipeline)
    return [r.getMessage() for r in caplog.records if r.name == "newsbeam"]


@pytest.mark.parametrize("run", [True, False])
def test_a_grouping_on_fn_api_runner_is_named(caplog: pytest.LogCaptureFixture, run: bool) -> None:
    [line] = said(caplog, "FnApiRunner", windowed=True, run=run)
    assert line.startswith("FnApiRunner hands an endless stream to 'Sum/GroupByKey' only when")
    assert "PrismRunner" in line


def test_without_one_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert said(caplog, "FnApiRunner", windowed=False, run=True) == []


@pytest.mark.parametrize("runner", ["PrismRunner", "DirectRunner", "FlinkRunner"])
def test_other_runners_fire_windows(caplog: pytest.LogCaptureFixture, runner: str) -> None:
    assert said(caplog, runner, windowed=True, run=False) == []
