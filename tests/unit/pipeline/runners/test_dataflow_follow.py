"""A job on Dataflow from submission to its end, against a small stand-in for its API."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.cli import main
from pipeline.options import RunOptions
from pipeline.runners.dataflow import follow
from pipeline.runners.dataflow.runner import Dataflow
from pipeline.runners.endings import CancelledElsewhere
from pipeline.runners.runner import Job
from pipeline.runners.words import line_of
from tests.servers.dataflow import JOB, FakeDataflow, serve_dataflow
from tests.unit.pipeline.runners.dataflow_jobs import IMAGE, arguments
from transforms.failures import PipelineFailure, forget_failures

if TYPE_CHECKING:
    from pipeline.ends.end import Ends

TRACEBACK = """Error message from worker: generic::unknown: Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1498, in process
  File "transforms/classify.py", line 88, in load_model
transforms.failures.PipelineFailure: this worker has newsbeam 0.0.9 [while running 'Run inference']

passed through:
==>
    dist_proc/dax/workflow/worker/fnapi_service_impl.cc:1383"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDataflow]:
    monkeypatch.setattr(follow, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(follow, "COUNT_EVERY", 0.0)
    forget_failures()
    with serve_dataflow() as serving:
        yield serving
    forget_failures()


def run(fake: FakeDataflow, folder: Path, **options: object) -> None:
    """A small job, from submission to its end."""
    args = arguments(folder, f"--sdk_container_image={IMAGE}", endpoint=fake.endpoint)
    pipeline = beam.Pipeline(options=PipelineOptions([*args, "--no_save_main_session"]))
    _ = pipeline | beam.Impulse() | beam.Map(bytes)
    asked = RunOptions("pubsub://my-project/news-sub", "pubsub://my-project/out", **options)
    # Of its ends nothing is asked any more.
    Dataflow().run(Job(pipeline, asked, pipeline.options, cast("Ends", None)))


def test_from_pubsub_to_pubsub_by_the_command_line(
    fake: FakeDataflow, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fake.counts = {"categorized": 1234}
    fake.messages = [("WARNING", "a worker is slow"), ("DETAILED", "not of interest")]
    ends = ["--source=pubsub://my-project/news-sub", "--sink=pubsub://my-project/categorized"]
    args = arguments(tmp_path, f"--sdk_container_image={IMAGE}", endpoint=fake.endpoint)
    assert main(["run", *ends, "--skip_checks=pubsub", *args]) == 0
    [job] = fake.jobs
    assert job["environment"]["serviceOptions"] == ["streaming_mode_at_least_once"]
    told = capfd.readouterr().err
    assert f"jobs/europe-west1/{JOB}?project=my-project" in told
    assert told.count("a worker is slow") == 1
    assert "not of interest" not in told
    assert f"job {JOB}: done" in told
    assert "categorized 1,234" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("state", "named"),
    [("CANCELLED", "cancelled"), pytest.param("UPDATED", "replaced", marks=pytest.mark.long)],
)
def test_a_job_that_somebody_else_ends(
    fake: FakeDataflow, tmp_path: Path, state: str, named: str
) -> None:
    fake.states = ["RUNNING", state]
    with pytest.raises(CancelledElsewhere, match=named) as caught:
        run(fake, tmp_path)
    assert caught.value.exit_code == 4


def test_a_failure_is_one_line(fake: FakeDataflow, tmp_path: Path) -> None:
    fake.states = ["RUNNING", "FAILED"]
    fake.messages = [("ERROR", TRACEBACK), ("ERROR", "Workflow failed.")]
    with pytest.raises(PipelineFailure) as caught:
        run(fake, tmp_path)
    assert str(caught.value) == f"job {JOB} failed: this worker has newsbeam 0.0.9"


def test_a_job_that_is_not_taken_is_one_line(fake: FakeDataflow, tmp_path: Path) -> None:
    fake.refuses = (403, "Dataflow API has not been used in project my-project before")
    with pytest.raises(PipelineFailure, match="Dataflow API has not been used") as caught:
        run(fake, tmp_path)
    assert "\n" not in str(caught.value)


def test_detached_it_is_left_at_once(
    fake: FakeDataflow, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake.states = ["RUNNING"]
    with caplog.at_level(logging.INFO, "newsbeam"):
        run(fake, tmp_path, detach=True)
    assert JOB in caplog.text
    assert not fake.looked.is_set()


@pytest.mark.parametrize("how", ["savepoint", pytest.param("leave", marks=pytest.mark.long)])
def test_a_signal_drains_it_or_leaves_it(
    fake: FakeDataflow, tmp_path: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    fake.states = ["RUNNING"]

    def once_it_is_watched() -> None:
        fake.looked.wait(60)
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=once_it_is_watched)
    sender.start()
    with caplog.at_level(logging.INFO, "newsbeam"):
        run(fake, tmp_path, on_stop=how)
    sender.join()
    if how != "leave":
        assert fake.updates == ["DRAINING"]
        assert f"job {JOB}: drained" in caplog.text
    else:
        assert fake.updates == []
        assert f"job {JOB} goes on" in caplog.text


@pytest.mark.long
def test_a_dry_run_submits_nothing_and_shows_what_would_run(
    fake: FakeDataflow, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ends = ["--source=pubsub://my-project/news-sub", "--sink=pubsub://my-project/categorized"]
    args = arguments(tmp_path, endpoint=fake.endpoint)
    assert main(["run", *ends, "--skip_checks=pubsub", "--dry_run", *args]) == 0
    shown = capfd.readouterr().out
    for part in ("DataflowRunner, a stream", "at least once", "ag_news@", "Tokenize news"):
        assert part in shown
    assert fake.jobs == []
    assert list((tmp_path / "staged").iterdir()) == []


def test_exactly_once_is_not_run_where_doubles_are_let_through(
    fake: FakeDataflow, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ends = ["--source=kafka://h:1/in", "--sink=kafka://h:1/out", "--skip_checks=kafka"]
    service = "--dataflow_service_options=streaming_mode_at_least_once"
    assert main(["run", *ends, *arguments(tmp_path, service, endpoint=fake.endpoint)]) == 2
    assert "--delivery at_least_once" in capfd.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Workflow failed. Causes: quota\nmore", "Workflow failed. Causes: quota"),
        ("Traceback (most recent call last):\n  File\nValueError: no\n", "ValueError: no"),
        (
            "Traceback (most recent call last):\nModuleNotFoundError: No module named 'transforms'",
            "the workers have no newsbeam: ",
        ),
        ("", "nothing more is said"),
    ],
)
def test_the_line_that_says_what_went_wrong(text: str, line: str) -> None:
    assert line_of(text).startswith(line)


@pytest.fixture(autouse=True)
def _levels_as_before() -> Iterator[None]:
    """What `newsbeam run` does to the loggers goes with its test."""
    loggers = [logging.getLogger(), logging.getLogger("newsbeam"), logging.getLogger("kafka")]
    before = [(each, each.level, each.handlers[:]) for each in loggers]
    yield
    for each, level, handlers in before:
        each.setLevel(level)
        each.handlers[:] = handlers
