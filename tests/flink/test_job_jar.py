"""The job jar, which Flink runs by itself: uploaded over REST, and in application mode.

The latter is what the operator for Kubernetes does with it. There is no job server then, and no client;
workers are those of `newsbeam worker-pool`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import urllib.request
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.runners.flink.job_jar import ENTRY_CLASS
from tests.integration.harness import (
    Got,
    Topics,
    assert_each_once,
    mixed,
    succeeded,
)
from tests.servers.flink_cluster import FlinkCluster
from tests.servers.processes import ServerProcess, free_port, wait_until
from tests.servers.stand_alone_flink import StandAloneFlink

REPOSITORY = Path(__file__).parents[2]
#: From 1 to more a savepoint fits no more: Flink names operators by who is chained to whom.
PARALLELISM = 2


class Pool:
    """`newsbeam worker-pool`, as it runs beside a task manager on Kubernetes."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self._port = port
        self.process = ServerProcess(
            [sys.executable, "-m", "pipeline", "worker-pool", "--port", str(port)],
            folder / "newsbeam-worker-pool.log",
            {"PYTHONPATH": str(REPOSITORY)},
        )

    def start(self) -> None:
        def answers() -> bool:
            self.process.check_running()
            with socket.create_connection(("127.0.0.1", self._port)):
                return True

        self.process.start()
        wait_until(answers, "the worker pool", retry_on=(OSError,))


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    pool = Pool(tmp_path)
    pool.start()
    yield pool
    pool.process.stop()


def upload(cluster: FlinkCluster, jar: Path) -> str:
    """Uploads a jar; the id that Flink gives it."""
    mark = uuid.uuid4().hex
    head = (
        f"--{mark}\r\n"
        f'Content-Disposition: form-data; name="jarfile"; filename="{jar.name}"\r\n'
        "Content-Type: application/x-java-archive\r\n\r\n"
    )
    body = head.encode() + jar.read_bytes() + f"\r\n--{mark}--\r\n".encode()
    request = urllib.request.Request(f"http://{cluster.rest}/jars/upload", body, method="POST")
    request.add_header("Content-Type", f"multipart/form-data; boundary={mark}")
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["filename"]).rpartition("/")[2]


def run_jar(cluster: FlinkCluster, jar: str, savepoint: str | None = None) -> str:
    """Starts a job from an uploaded jar; the job's id."""
    body: dict[str, Any] = {"entryClass": ENTRY_CLASS, "parallelism": PARALLELISM}
    if savepoint is not None:
        body["savepointPath"] = savepoint
    return str(cluster.post(f"/jars/{jar}/run", body)["jobid"])


def restored_from(cluster: FlinkCluster, job: str) -> str | None:
    """The savepoint that a job began with."""
    restored = cluster.get(f"/jobs/{job}/checkpoints")["latest"]["restored"]
    return restored and str(restored["external_path"])


class ApplicationCluster(FlinkCluster):
    """Flink for one job alone, whose job manager runs the jar: application mode.

    Args:
        directory: As of a cluster.
        jar: The job.
        savepoint: What it begins with.
    """

    def __init__(self, directory: Path, jar: Path, savepoint: str | None = None) -> None:
        super().__init__(
            directory, task_managers=0, properties={"parallelism.default": str(PARALLELISM)}
        )
        self.job_manager = self._process(_APPLICATION, "job-manager", "-Xmx512m")
        # As the operator names it. Other schemes are copied, and what was copied once is taken again.
        self.job_manager.command += ["--job-classname", ENTRY_CLASS, "--jars", f"local://{jar}"]
        if savepoint is not None:
            self.job_manager.command += ["--fromSavepoint", savepoint]


_APPLICATION = "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint"


def models(got: Iterable[Got]) -> set[str]:
    """The names of the models that made results."""
    return {json.loads(each.value or b"")["model"].partition("@")[0] for each in got}


@pytest.mark.timeout(1_800)
def test_a_jar_runs_by_rest_and_is_upgraded_in_application_mode(
    kafka: Topics, stand_alone: StandAloneFlink, pool: Pool, tmp_path: Path
) -> None:
    def make(jar: Path, model: str) -> None:
        done = succeeded(
            *kafka.args(
                "--runner=FlinkRunner",
                f"--flink_job_server_jar={stand_alone.jar}",
                f"--environment_config={pool.address}",
                f"--output_executable_path={jar}",
                f"--model={model}",
            )
        )
        assert f"wrote {jar}" in done.stderr
        assert [each.name for each in jar.parent.iterdir()] == [jar.name]

    cluster, jar = stand_alone.cluster, tmp_path / "first" / "newsbeam.jar"
    jar.parent.mkdir()
    make(jar, "ag_news_small")
    assert cluster.alive() == [], "it was submitted"

    uploaded = upload(cluster, jar)
    messages = mixed(600)
    sent = kafka.produce(messages[:400])
    job = run_jar(cluster, uploaded)
    wait_until(lambda: kafka.count() >= len(sent), "all of the first to come out")
    savepoint = cluster.stop_with_savepoint(job)
    before = kafka.outcomes()[0]
    assert models(before) == {"ag_news_small"}

    sent |= kafka.produce(messages[400:])
    jar = tmp_path / "second" / "newsbeam.jar"
    jar.parent.mkdir()
    make(jar, "ag_news_mini")
    with ApplicationCluster(tmp_path / "application", jar, savepoint) as application:
        (job,) = wait_until(application.alive, "the job to be there", retry_on=(OSError,))
        # Task managers have no such file: they get the job from the job manager.
        jar.unlink()
        application.start_task_manager()
        wait_until(lambda: kafka.count() >= len(sent), "all of the rest to come out")
        assert restored_from(application, job) == savepoint
        after = kafka.outcomes()[0]
        assert models(got for got in after if got not in before) == {"ag_news_mini"}
    assert_each_once(sent, kafka)


def test_a_pool_ends_when_it_is_told_to(pool: Pool) -> None:
    os.kill(pool.process.pid, signal.SIGTERM)
    wait_until(lambda: not pool.process.running, "the pool to end")
    assert "Traceback" not in pool.process.log.read_text()
