"""`newsbeam jobs`, with Flink's REST interface played."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from models.locate import PACKAGED
from pipeline import run as pipeline_run
from pipeline.cli import main
from pipeline.commands import jobs
from pipeline.runners.flink.submission import Submission
from tests.unit.pipeline.runners.flink_rest import FakeFlink
from transforms.failures import PipelineFailure

ID = "a" * 32
STEP = "[8]{Read_news}.newsbeam_"
READS = {"kind": "kafka", "topics": ["news"], "group": "desk", "shards": 4}


@pytest.fixture
def job(flink: FakeFlink, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job of ours that runs."""
    monkeypatch.setenv("NEWSBEAM_FLINK_MASTER", flink.address)
    arguments = ("--source=kafka://k/news", "--sink=kafka://k/out", "--parallelism=2")
    kept = Submission(arguments, READS, "0.1.0", "2.77.0", "2.77.0")
    flink.user_config[ID] = {"newsbeamSubmission": kept.to_json()}
    return flink.add(ID, "newsbeam-desk")


class Runs:
    """What was checked and started, in place of the real thing."""

    def __init__(self) -> None:
        self.checked: list[list[str]] = []
        self.started: list[tuple[Any, list[str]]] = []
        self.failure: Exception | None = None
        self.obstacle: Exception | None = None

    def check(self, prepared: Any, kept: Submission | None) -> None:
        self.checked.append(prepared.arguments)
        if self.obstacle:
            raise self.obstacle

    def execute(self, options: Any, beams: list[str], **_: Any) -> None:
        self.started.append((options, beams))
        if self.failure:
            raise self.failure


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    runs = Runs()
    monkeypatch.setattr(jobs._Prepared, "check", lambda *given: runs.check(*given))  # noqa: PLW0108
    monkeypatch.setattr(pipeline_run, "execute", runs.execute)
    return runs


def test_list(flink: FakeFlink, job: str, capsys: pytest.CaptureFixture[str]) -> None:
    flink.add("b" * 32, "other", "FAILED", started=5)
    assert main(["jobs", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["JOB", "NAME", "STATE", "FOR", "STARTED"]
    assert lines[1].split()[:3] == ["b" * 32, "other", "FAILED"]
    assert lines[2].split()[:5] == [ID, "newsbeam-desk", "RUNNING", "65", "s"]


def test_an_empty_list(flink: FakeFlink, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "list", f"--flink_master={flink.address}"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"newsbeam: no jobs at http://{flink.address}\n")


def test_status(flink: FakeFlink, job: str, capsys: pytest.CaptureFixture[str]) -> None:
    flink.metrics = {
        f"0.{STEP}read": 1200,
        f"0.{STEP}categorized_World": 1100,
        f"0.{STEP}dead_letters_ParseNews": 9,
        f"0.{STEP}lag_news:0/4": 5,
        f"0.{STEP}seconds_behind_news:0/4": 3,
        f"1.{STEP}read": 7,
    }
    flink.exceptions[ID] = ["java.lang.Exception: lost task manager"]
    flink.checkpoints = {
        "counts": {"completed": 12, "failed": 1},
        "latest": {
            "completed": {
                "latest_ack_timestamp": 1,
                "end_to_end_duration": 300,
                "state_size": 4096,
                "external_path": "file:/c/1",
            },
            "failed": {"failure_message": "java.io.IOException: disk full"},
            "savepoint": {"external_path": "file:/s/1"},
            "restored": None,
        },
    }
    assert main(["jobs", "status", "newsbeam-desk"]) == 0
    out = capsys.readouterr().out
    assert "RUNNING, for 65 s" in out
    assert "news for group desk, in 4 shards" in out
    assert "newsbeam 0.1.0, Beam 2.77.0, job server 2.77.0" in out
    assert "12 completed, 1 failed; the last" in out
    assert "4.1 kB in 0.3 s" in out
    assert "disk full" in out
    assert "file:/s/1" in out
    assert "restarted for Exception: lost task manager" in out
    first, second = (line for line in out.splitlines() if "subtask" in line)
    assert "1,200 read, 1,100 categorized, 9 dead letters, 5 wait (3 s behind)" in first
    assert "on host-1:1, start 2: 7 read" in second


def test_status_of_a_job_that_starts(flink: FakeFlink, capsys: pytest.CaptureFixture[str]) -> None:
    flink.add(ID, "strange")
    flink.jobs[ID]["tasks"] = {"total": 3, "running": 1, "initializing": 2}
    assert main(["jobs", "status", ID, f"--flink_master={flink.address}"]) == 0
    out = capsys.readouterr().out
    assert "RUNNING, 1 of 3 tasks started" in out
    assert "none has counted anything yet" in out


def test_stop(flink: FakeFlink, job: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "stop", ID[:6], "--savepoint_dir=s3://b"]) == 0
    said = capsys.readouterr()
    assert said.out == "file:///savepoints/savepoint-1\n"
    assert f"newsbeam jobs resume {ID} --flink_master={flink.address}" in said.err
    assert {"drain": False, "targetDirectory": "s3://b"} in flink.bodies
    assert main(["jobs", "stop", ID]) == 2
    assert (
        f"is FINISHED: `newsbeam jobs resume {ID} --flink_master={flink.address}`"
        in capsys.readouterr().err
    )


def test_a_folder_that_depends_on_where_flink_was_started(
    flink: FakeFlink, job: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("stop", "upgrade"):
        assert main(["jobs", command, ID, "--savepoint_dir=relative/dir"]) == 2
        assert "--savepoint_dir=relative/dir: give a whole path" in capsys.readouterr().err
    assert flink.jobs[ID]["state"] == "RUNNING"


def test_stop_for_good(flink: FakeFlink, job: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "stop", ID, "--drain"]) == 0
    assert capsys.readouterr().out == ""
    assert {"savepoint-path": "file:///savepoints/savepoint-1"} in flink.bodies


def test_upgrade(flink: FakeFlink, job: str, runs: Runs) -> None:
    assert main(["jobs", "upgrade", ID, "--model=ag_news_mini", "--object_reuse"]) == 0
    options, beams = runs.started[0]
    assert options.model.model == "ag_news_mini"
    assert options.ends.source == "kafka://k/news"
    assert options.ends.shards == 4
    assert set(beams) == {
        "--object_reuse",
        "--parallelism=2",
        "--runner=FlinkRunner",
        f"--flink_master=http://{flink.address}",
        "--savepoint_path=file:///savepoints/savepoint-1",
    }
    assert flink.jobs[ID]["state"] == "FINISHED"


def test_an_upgrade_is_checked_before_anything_is_stopped(
    flink: FakeFlink, job: str, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.obstacle = jobs._wrong("--shards can't change")
    assert main(["jobs", "upgrade", ID, "--shards=2"]) == 2
    assert flink.jobs[ID]["state"] == "RUNNING"
    runs.obstacle = None
    assert main(["jobs", "upgrade", ID, "--dry_run", "--model=x"]) == 0
    assert "newsbeam run --shards=4 --source=kafka://k/news" in capsys.readouterr().out
    assert flink.jobs[ID]["state"] == "RUNNING"
    assert not runs.started


@pytest.mark.parametrize("model", ["no-such-model", "broken"])
def test_the_model_is_tried_before_anything_is_stopped(
    flink: FakeFlink,
    job: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(PACKAGED["ag_news_mini"], broken)
    next(broken.glob("*.onnx")).write_bytes(b"none")
    given = [
        "--source=kafka://k:1/news?group=desk",
        "--sink=kafka://k:1/out",
        "--skip_checks=kafka",
        "--job_endpoint=h:1",
        "--environment_config=h.invalid:1",
        f"--model={broken if model == 'broken' else model}",
    ]
    assert main(["jobs", "upgrade", ID, *given]) == 2
    assert model in capsys.readouterr().err.splitlines()[-1]
    assert flink.jobs[ID]["state"] == "RUNNING"


def test_an_upgrade_that_fails_says_the_way_back(
    flink: FakeFlink, job: str, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.failure = PipelineFailure("the job failed")
    assert main(["jobs", "upgrade", ID]) == 1
    err = capsys.readouterr().err
    assert f"To go back: `newsbeam jobs resume {ID} --flink_master={flink.address}`" in err
    assert "--savepoint_path=file:///savepoints/savepoint-1" in err
    assert err.endswith("newsbeam: the job failed\n")


def test_no_job_of_ours_is_upgraded(
    flink: FakeFlink, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    flink.add(ID, "strange")
    assert main(["jobs", "upgrade", ID, f"--flink_master={flink.address}"]) == 2
    assert "doesn't tell what it was submitted with" in capsys.readouterr().err


def test_resume_a_job(flink: FakeFlink, job: str, runs: Runs) -> None:
    flink.becomes(ID, "FAILED")
    flink.checkpoints["latest"] = {
        "savepoint": {"latest_ack_timestamp": 5, "external_path": "file:/s"},
        "completed": {"latest_ack_timestamp": 9, "external_path": "file:/c"},
    }
    assert main(["jobs", "resume", ID, "--model=x"]) == 0
    options, beams = runs.started[0]
    assert options.model.model == "x"
    assert "--savepoint_path=file:/c" in beams


def test_resume_a_savepoint(flink: FakeFlink, job: str, runs: Runs) -> None:
    arguments = ["--source=kafka://k/a", "--sink", "kafka://k/b", "--parallelism", "3"]
    assert main(["jobs", "resume", "s3://b/savepoint-1", *arguments]) == 0
    options, beams = runs.started[0]
    assert options.ends.sink == "kafka://k/b"
    assert "--savepoint_path=s3://b/savepoint-1" in beams


def test_what_can_not_be_resumed(
    flink: FakeFlink, job: str, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "resume", ID]) == 2
    assert f"is RUNNING: `newsbeam jobs upgrade {ID}" in capsys.readouterr().err
    flink.becomes(ID, "CANCELED")
    flink.checkpoints["latest"] = {"completed": {"external_path": "<checkpoint-not-there>"}}
    assert main(["jobs", "resume", ID]) == 2
    assert "left neither savepoint nor checkpoint" in capsys.readouterr().err


def test_flink_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "list", "--flink_master=127.0.0.1:1"]) == 1
    err = capsys.readouterr().err
    assert err == "newsbeam: can't reach Flink at http://127.0.0.1:1: connection refused\n"


def test_where_is_flink(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "list"]) == 2
    assert "--flink_master" in capsys.readouterr().err
