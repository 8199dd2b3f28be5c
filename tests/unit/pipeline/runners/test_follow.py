"""A job is followed: to its end, over restarts, or until we are to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from pipeline.runners.endings import CancelledElsewhere
from pipeline.runners.flink import follow
from pipeline.runners.flink.follow import Follower, JobFailed, stop_patiently
from pipeline.runners.flink.rest import FlinkRefused, FlinkRest, NoSavepoint, Unreachable
from pipeline.runners.remote import RemoteSettings
from pipeline.runners.signals import Asked
from tests.servers.processes import wait_until
from tests.unit.pipeline.runners.flink_rest import TRACE, FakeFlink

ID = "a" * 32


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def follower(flink: FakeFlink, asked: Asked) -> Follower:
    flink.add(ID)
    return Follower(FlinkRest(flink.address), ID, asked, RemoteSettings())


def later(flink: FakeFlink, do: Callable[[], object], requests: int = 3) -> None:
    """Does something once so many more requests were answered."""
    due = len(flink.asked) + requests

    def wait() -> None:
        wait_until(lambda: len(flink.asked) >= due, "requests", interval=0.01)
        do()

    threading.Thread(target=wait, daemon=True).start()


def test_it_finishes(flink: FakeFlink, follower: Follower) -> None:
    later(flink, lambda: flink.becomes(ID, "FINISHED"))
    assert follower.until_over()


def test_somebody_else_stops_it(
    flink: FakeFlink, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    flink.checkpoints["latest"] = {"savepoint": {"external_path": "file:/there"}}
    flink.becomes(ID, "FINISHED")
    with caplog.at_level(logging.INFO, "newsbeam"):
        assert follower.until_over()
    assert "stopped by somebody else; savepoint file:/there" in caplog.text


def test_somebody_else_cancels_it(flink: FakeFlink, follower: Follower) -> None:
    later(flink, lambda: flink.becomes(ID, "CANCELED"))
    with pytest.raises(
        CancelledElsewhere, match=f"job {ID} was cancelled by somebody else"
    ) as caught:
        follower.until_over()
    assert caught.value.exit_code == 4


def test_it_fails(flink: FakeFlink, follower: Follower) -> None:
    flink.exceptions[ID] = ["java.lang.E: x\nCaused by: java.io.IOException: no space"]
    flink.becomes(ID, "FAILED")
    with pytest.raises(
        JobFailed, match=f"job {ID} failed after 65 s: IOException: no space"
    ) as caught:
        follower.until_over()
    assert caught.value.exit_code == 1


def test_it_fails_as_it_would_here(flink: FakeFlink, follower: Follower) -> None:
    line = "transforms.kafka.faults.Fenced: another instance goes on [while running 'x']"
    flink.exceptions[ID] = [TRACE.format(line=line)]
    flink.becomes(ID, "FAILED")
    with pytest.raises(JobFailed, match=r": another instance goes on$") as caught:
        follower.until_over()
    assert caught.value.exit_code == 3


def test_it_is_gone(flink: FakeFlink, follower: Follower) -> None:
    flink.jobs.clear()
    with pytest.raises(JobFailed, match=f"knows no job {ID} any more"):
        follower.until_over()


def test_restarts_are_told_once(
    flink: FakeFlink, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    flink.exceptions[ID] = ["java.lang.Exception: lost task manager"]
    flink.becomes(ID, "RESTARTING")
    later(flink, lambda: flink.becomes(ID, "FINISHED"), requests=12)
    assert follower.until_over()
    assert caplog.text.count(f"Flink restarts job {ID}: Exception: lost task manager") == 1


def test_who_was_taken_over_gives_way(flink: FakeFlink, follower: Follower) -> None:
    line = "transforms.kafka.faults.Fenced: another instance goes on"
    flink.exceptions[ID] = [TRACE.format(line=line)]
    flink.becomes(ID, "RESTARTING")
    with pytest.raises(JobFailed) as caught:
        follower.until_over()
    assert caught.value.exit_code == 3
    assert flink.jobs[ID]["state"] == "CANCELED"


def test_who_was_taken_over_gives_way_as_soon_as_flink_lets_it(
    flink: FakeFlink, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "transforms.kafka.faults.Fenced: another instance goes on"
    flink.exceptions[ID] = [TRACE.format(line=line)]
    flink.becomes(ID, "RESTARTING")
    cancelled: list[str] = []

    def cancel(_: FlinkRest, job: str) -> None:
        cancelled.append(job)
        if len(cancelled) < 3:
            raise Unreachable("no answer in time")

    monkeypatch.setattr(FlinkRest, "cancel", cancel)
    later(flink, lambda: flink.becomes(ID, "FINISHED"), requests=20)
    with pytest.raises(JobFailed) as caught:
        follower.until_over()
    assert caught.value.exit_code == 3
    assert cancelled == [ID] * 3


def test_a_job_that_never_runs_is_cancelled_as_soon_as_flink_lets_us(
    flink: FakeFlink, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    flink.exceptions[ID] = ["java.lang.E: no"] * 3
    flink.becomes(ID, "RESTARTING")
    cancelled: list[str] = []

    def cancel(_: FlinkRest, job: str) -> None:
        cancelled.append(job)
        if len(cancelled) < 2:
            raise Unreachable("no answer in time")

    monkeypatch.setattr(FlinkRest, "cancel", cancel)
    with pytest.raises(JobFailed, match="did not come to run in 3 attempts"):
        follower.until_running()
    assert cancelled == [ID] * 2


def test_flink_is_away_for_a_while(
    flink: FakeFlink,
    follower: Follower,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer, left = flink.answer, 4

    def at_first_not(*args: object) -> object:
        nonlocal left
        left -= 1
        return (502, "no JSON object") if left > 0 else answer(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(flink, "answer", at_first_not)
    flink.becomes(ID, "FINISHED")
    assert follower.until_over()
    refused = FlinkRest("127.0.0.1:1")
    away = Follower(refused, ID, asked := Asked(), RemoteSettings())
    threading.Timer(0.2, asked.note, ["SIGTERM"]).start()
    assert not away.until_over()
    assert caplog.text.count("can't reach Flink") == 1


def test_it_comes_to_run(flink: FakeFlink, follower: Follower) -> None:
    flink.becomes(ID, "CREATED")
    later(flink, lambda: flink.becomes(ID, "RUNNING"))
    assert follower.until_running()


def test_it_never_comes_to_run(flink: FakeFlink, follower: Follower) -> None:
    flink.exceptions[ID] = ["java.lang.IllegalStateException: no such savepoint"] * 3
    flink.becomes(ID, "RESTARTING")
    with pytest.raises(JobFailed, match=r"did not come to run in 3 attempts .* no such savepoint"):
        follower.until_running()
    assert flink.jobs[ID]["state"] == "CANCELED"


def test_it_is_over_before_it_runs(flink: FakeFlink, follower: Follower) -> None:
    flink.becomes(ID, "FINISHED")
    with pytest.raises(JobFailed, match="stopped by somebody else"):
        follower.until_running()


# ---- we are to stop --------------------------------------------------------------------------------


def stopped(flink: FakeFlink, asked: Asked, how: str, **more: str) -> None:
    flink.add(ID)
    asked.note("SIGTERM")
    follower = Follower(
        FlinkRest(flink.address),
        ID,
        asked,
        RemoteSettings(on_stop=how, **more),  # type: ignore[arg-type]
    )
    assert not follower.until_over()
    follower.stop()


def test_with_a_savepoint(flink: FakeFlink, asked: Asked, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "newsbeam"):
        stopped(flink, asked, "savepoint", savepoint_dir="s3://b")
    assert (
        "savepoint file:///savepoints/savepoint-1; go on with `newsbeam jobs resume" in caplog.text
    )
    assert "--savepoint_path=file:///savepoints/savepoint-1" in caplog.text
    assert {"drain": False, "targetDirectory": "s3://b"} in flink.bodies


def test_for_good(flink: FakeFlink, asked: Asked, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "newsbeam"):
        stopped(flink, asked, "drain")
    assert {"savepoint-path": "file:///savepoints/savepoint-1"} in flink.bodies
    assert "ended for good" in caplog.text


def test_it_runs_on(flink: FakeFlink, asked: Asked, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "newsbeam"):
        stopped(flink, asked, "leave")
    assert flink.jobs[ID]["state"] == "RUNNING"
    assert f"job {ID} runs on, http://{flink.address}/#/job/{ID}/overview" in caplog.text


@pytest.mark.parametrize(
    ("tasks", "on_stop", "state"),
    [
        ({"scheduled": 3}, "savepoint", "CANCELED"),
        ({"created": 3}, "drain", "CANCELED"),
        ({}, "savepoint", "CANCELED"),
        ({"scheduled": 3}, "leave", "RUNNING"),
        ({"scheduled": 2, "running": 1}, "savepoint", "RUNNING"),
        ({"scheduled": 1, "initializing": 2}, "savepoint", "RUNNING"),
    ],
)
def test_a_job_that_waits_for_slots_is_cancelled(
    flink: FakeFlink, asked: Asked, tasks: dict[str, int], on_stop: str, state: str
) -> None:
    flink.add(ID)
    flink.jobs[ID]["tasks"] = {"total": 3, **tasks}
    asked.note("SIGINT")
    follower = Follower(FlinkRest(flink.address), ID, asked, RemoteSettings(on_stop=on_stop))
    assert follower.cancelled_unstarted() == (state == "CANCELED")
    assert flink.jobs[ID]["state"] == state


def test_a_job_that_restarts_is_stopped_later(
    flink: FakeFlink, caplog: pytest.LogCaptureFixture
) -> None:
    flink.add(ID)
    flink.refusals = 3
    assert stop_patiently(FlinkRest(flink.address), ID, None) == flink.savepoint
    assert flink.asked.count(f"POST /jobs/{ID}/stop") == 4
    [told] = caplog.messages
    assert "Job is restarting; trying again for 120 s" in told


def test_patience_ends(flink: FakeFlink) -> None:
    flink.add(ID)
    flink.refusals = 1_000
    now = iter(range(0, 10_000, 50))
    with pytest.raises(FlinkRefused, match="Job is restarting"):
        stop_patiently(FlinkRest(flink.address), ID, None, lambda: next(now))
    flink.refusals, flink.savepoint = 0, RuntimeError("java.io.IOException: disk full")
    with pytest.raises(NoSavepoint, match="disk full"):
        stop_patiently(FlinkRest(flink.address), ID, None, lambda: next(now))


def test_what_is_over_is_not_stopped(flink: FakeFlink) -> None:
    flink.add(ID, state="FAILED")
    with pytest.raises(NoSavepoint, match="is FAILED already"):
        stop_patiently(FlinkRest(flink.address), ID, None)


def test_no_savepoint_is_one_line(
    flink: FakeFlink, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "SAVEPOINT_PATIENCE", -1)
    flink.savepoint = RuntimeError("java.io.IOException: disk full")
    with pytest.raises(JobFailed, match=f"disk full; job {ID} may run on: see http"):
        stopped(flink, asked, "savepoint")


def test_a_second_ctrl_c(flink: FakeFlink, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(follow, "stop_patiently", interrupted)
    with pytest.raises(JobFailed, match=f"interrupted; job {ID} may run on"):
        stopped(flink, asked, "savepoint")
