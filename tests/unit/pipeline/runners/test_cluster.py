"""A run on a cluster, with Flink's REST interface and Beam's job server played."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.runner import PipelineState

from pipeline.options import RunOptions
from pipeline.runners.endings import CancelledElsewhere
from pipeline.runners.flink import cluster
from pipeline.runners.flink.counts import FlinkCounts
from pipeline.runners.flink.follow import JobFailed
from pipeline.runners.runner import Job
from pipeline.runners.signals import Asked
from tests.unit.pipeline.runners.flink_rest import TRACE, FakeFlink
from transforms.errors import ConfigurationError

ID = "a" * 32


class Played:
    """Beam's job server, and the source."""

    def __init__(self, flink: FakeFlink) -> None:
        self.flink = flink
        self.state = PipelineState.RUNNING
        self.submitted: Callable[[], object] = lambda: flink.add(ID, "newsbeam-desk")
        self.served = 0
        self.closed = False
        self._job_id = "beam-1"
        said = SimpleNamespace(
            importance=beam_job_api_pb2.JobMessage.JOB_MESSAGE_ERROR,
            message_text=TRACE.format(line="ValueError: broken"),
        )
        message = SimpleNamespace(message_response=said)
        self._job_service = SimpleNamespace(GetMessageStream=lambda *_, **__: iter([message]))

    @contextlib.contextmanager
    def job_service(self, options: PipelineOptions) -> Iterator[None]:
        self.served += 1
        yield None
        self.served -= 1

    def submit(self, job: Job) -> Any:
        self.submitted()
        return self

    def backlog(self) -> None:
        return None

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def played(flink: FakeFlink, monkeypatch: pytest.MonkeyPatch) -> Played:
    played = Played(flink)
    monkeypatch.setattr(cluster, "job_service", played.job_service)
    monkeypatch.setattr(cluster, "submit", played.submit)
    return played


def run(played: Played, *, live_status: bool = False, **ours: Any) -> None:
    options = PipelineOptions([])
    options.view_as(GoogleCloudOptions).job_name = "newsbeam-desk"
    asked = RunOptions(source="kafka://k:9092/news?group=desk", sink="kafka://k:9092/out", **ours)
    pipeline: Any = SimpleNamespace(options=options)
    ends: Any = SimpleNamespace(source=played)
    job = Job(pipeline, asked, options, ends, live_status)
    cluster.run_on_cluster(job, f"http://{played.flink.address}")


def test_detached(played: Played, caplog: pytest.LogCaptureFixture) -> None:
    played.flink.add("b" * 32, "newsbeam-desk", "FINISHED")
    with caplog.at_level(logging.INFO, "newsbeam"):
        run(played, detach=True)
    page = f"http://{played.flink.address}/#/job/{ID}/overview"
    assert f"job newsbeam-desk is on the cluster as {ID}, {page}" in caplog.text
    assert f"job {ID} runs" in caplog.text
    assert played.flink.jobs[ID]["state"] == "RUNNING"
    assert played.served == 0


def test_to_its_end(played: Played) -> None:
    played.submitted = lambda: played.flink.add(ID, "newsbeam-desk")
    original = played.flink.answer

    def answer(method: str, path: str, *more: Any) -> Any:
        said = original(method, path, *more)
        if ID in played.flink.jobs and path == "/jobs/overview":
            # Seen once as it runs.
            played.flink.becomes(ID, "FINISHED") if len(played.flink.asked) > 3 else None
        return said

    played.flink.answer = answer  # type: ignore[method-assign]
    run(played)
    assert played.closed


def test_cancelled_elsewhere(played: Played) -> None:
    played.flink.jobs.clear()

    class CancelledSoon(Asked):
        def wait(self, seconds: float) -> bool:
            played.flink.becomes(ID, "CANCELED")
            return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "asked_by_signals", lambda: contextlib.nullcontext(CancelledSoon()))
        with pytest.raises(CancelledElsewhere):
            run(played)


def test_asked_to_stop_on_the_way(played: Played, caplog: pytest.LogCaptureFixture) -> None:
    asked = Asked()
    asked.note("SIGTERM")
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.INFO, "newsbeam"):
        patch.setattr(cluster, "asked_by_signals", lambda: contextlib.nullcontext(asked))
        run(played)
    assert played.flink.jobs[ID]["state"] == "FINISHED"
    assert "stopped; savepoint file:///savepoints/savepoint-1" in caplog.text


def test_it_is_stopped_before_it_is_asked_for_last_counts(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers that don't answer take their time."""
    asked = Asked()
    states: list[str] = []

    def backlog() -> None:
        states.append(played.flink.jobs[ID]["state"])
        asked.note("SIGTERM")

    monkeypatch.setattr(played, "backlog", backlog)
    monkeypatch.setattr(cluster, "FlinkCounts", functools.partial(FlinkCounts, every=0))
    monkeypatch.setattr(cluster, "asked_by_signals", lambda: contextlib.nullcontext(asked))
    run(played, live_status=True)
    assert states == ["RUNNING", "FINISHED"]


def test_one_runs_already(played: Played) -> None:
    played.flink.add("b" * 32, "newsbeam-desk", "RESTARTING")
    with pytest.raises(ConfigurationError, match=rf"newsbeam jobs upgrade {'b' * 32}"):
        run(played)
    assert ID not in played.flink.jobs


def test_it_never_gets_there(played: Played) -> None:
    def fail() -> None:
        played.state = PipelineState.FAILED

    played.submitted = fail
    with pytest.raises(JobFailed, match="Flink refused the job, or it failed: ValueError: broken"):
        run(played)


def test_interrupted_on_the_way(played: Played) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    played.submitted = interrupt
    with pytest.raises(JobFailed, match=r"may have job newsbeam-desk.*`newsbeam jobs list --flink"):
        run(played)
