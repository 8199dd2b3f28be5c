"""The worker pool starts processes, ends them, and never lets what they say hold them up."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from apache_beam.portability.api import beam_fn_api_pb2

from pipeline import worker_pool
from pipeline.worker_pool import WorkerPool, serve
from tests.servers.processes import free_port, wait_until
from transforms.errors import ConfigurationError


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which each worker writes its process id, once it has said a lot."""
    program = tmp_path / "python"
    program.write_text(
        "#!/bin/sh\nhead -c 300000 /dev/zero\n"
        f'echo $$ "$@" > {tmp_path}/unfinished-$4\nmv {tmp_path}/unfinished-$4 {tmp_path}/worker-$4\n'
        "exec sleep 1000\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    # What pytest has in its place is no file that a process could write to.
    monkeypatch.setattr(sys, "stderr", (tmp_path / "stderr").open("w"))
    return tmp_path


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool()
    yield pool
    pool.close()


def start(
    pool: WorkerPool, workers: Path, name: str, runner: str = "localhost:1"
) -> psutil.Process:
    """Starts a worker, and waits until it has begun."""
    request = beam_fn_api_pb2.StartWorkerRequest(worker_id=name)
    request.control_endpoint.url = runner
    assert pool.StartWorker(request, None).error == ""
    said = workers / f"worker-{name}"
    wait_until(said.exists, "the worker to have said what it had to say")
    pid, *arguments = said.read_text().split()
    said.unlink()
    assert arguments == ["-m", "pipeline.worker", runner, name, "info"]
    return psutil.Process(int(pid))


def stop(pool: WorkerPool, name: str) -> str:
    return str(pool.StopWorker(beam_fn_api_pb2.StopWorkerRequest(worker_id=name), None).error)


def test_a_worker_that_says_a_lot_goes_on_and_ends_when_told(
    pool: WorkerPool, workers: Path
) -> None:
    first, second = (start(pool, workers, name) for name in ("1-1", "1-2"))
    assert stop(pool, "1-1") == ""
    assert not first.is_running()
    assert second.is_running()


def test_all_end_with_the_pool(pool: WorkerPool, workers: Path) -> None:
    started = [start(pool, workers, name) for name in ("1-1", "1-2")]
    pool.close()
    assert not any(worker.is_running() for worker in started)


def test_one_that_is_started_again_takes_the_place_of_the_other(
    pool: WorkerPool, workers: Path
) -> None:
    first, second = (start(pool, workers, "1-1") for _ in range(2))
    assert not first.is_running()
    assert second.is_running()


def test_two_jobs_have_workers_of_one_name(pool: WorkerPool, workers: Path) -> None:
    first = start(pool, workers, "1-1", "localhost:1")
    second = start(pool, workers, "1-1", "localhost:2")
    assert first.is_running()
    # Whose is meant, nobody says: the runner that goes hangs up.
    assert stop(pool, "1-1") == ""
    assert first.is_running()
    assert second.is_running()
    first.kill()
    wait_until(lambda: not alive(first), "the first worker's end")
    assert stop(pool, "1-1") == ""
    assert not second.is_running()


def alive(process: psutil.Process) -> bool:
    """Whether it runs; one that nobody has waited for yet does not."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_one_that_is_not_there_has_ended(pool: WorkerPool) -> None:
    assert stop(pool, "1-1") == ""


def test_one_that_cant_be_started_is_said(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch, workers: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(workers / "nothing"))
    request = beam_fn_api_pb2.StartWorkerRequest(worker_id="1-1")
    assert "nothing" in pool.StartWorker(request, None).error


def test_a_taken_port_is_refused_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"--port {port}.*already in use"):
            serve("127.0.0.1", port)
    # gRPC writes by itself.
    assert capfd.readouterr().err == ""


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"--host 192\.0\.2\.1 --port"):
        serve("192.0.2.1", free_port())


def test_who_is_started_while_the_pool_ends_is_not_left_behind(
    pool: WorkerPool, workers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def popen(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(*args, **options))
        pool.close()
        return started[0]

    monkeypatch.setattr(
        worker_pool, "subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": popen})
    )
    request = beam_fn_api_pb2.StartWorkerRequest(worker_id="late")
    assert pool.StartWorker(request, None).error == "this worker pool has ended"
    assert started[0].poll() is not None
