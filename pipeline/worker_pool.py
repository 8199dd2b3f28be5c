"""Beam's worker pool, which starts the Python processes of a Flink's task manager beside it.

Beam's own program listens on all interfaces, and runs whatever it is sent there. It never reads what
its workers write to stdout, so that 64 KiB of it hold them up for ever, starts whichever `python`
comes first on PATH, and leaves its workers behind when it is told to end.
"""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

from transforms.errors import ConfigurationError

log = logging.getLogger("newsbeam")

#: Seconds a worker has for its end, before it is killed.
PATIENCE = 10.0
#: What listens to one interface of one machine.
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class WorkerPool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Starts a process for each worker that a runner asks for, and ends it when it asks for that.

    Each job of a task manager counts its workers from `1-1` on, so that name alone is not one worker: it
    is one of whoever is at its control endpoint.

    Args:
        log_level: Of what workers log to stderr.
    """

    def __init__(self, log_level: str = "info") -> None:
        self._log_level = log_level
        #: By name and control endpoint.
        self._workers: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def StartWorker(  # noqa: N802 - Beam's name
        self, request: beam_fn_api_pb2.StartWorkerRequest, _context: object
    ) -> beam_fn_api_pb2.StartWorkerResponse:
        """Starts a worker, which reports to the runner by itself."""
        name, address = request.worker_id, request.control_endpoint.url
        command = [sys.executable, "-m", "pipeline.worker", address, name, self._log_level]
        try:
            # What is written to stdout is seen with the rest, and never waits for a reader.
            worker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        except OSError as e:
            return beam_fn_api_pb2.StartWorkerResponse(error=str(e))
        with self._lock:
            closed = self._closed
            self._forget_ended()
            before = self._workers.get((name, address))
            self._workers[name, address] = worker
        if closed:
            # It would be left behind.
            _end([worker])
            return beam_fn_api_pb2.StartWorkerResponse(error="this worker pool has ended")
        if before is not None:
            _end([before])
        log.info("started worker %s for %s, process %d", name, address, worker.pid)
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(  # noqa: N802 - Beam's name
        self, request: beam_fn_api_pb2.StopWorkerRequest, _context: object
    ) -> beam_fn_api_pb2.StopWorkerResponse:
        """Ends a worker; one that is not there has ended.

        Where several jobs have one of that name, nobody says whose is meant: it ends by itself, when its
        runner hangs up, which is what comes next.
        """
        with self._lock:
            self._forget_ended()
            meant = [key for key in self._workers if key[0] == request.worker_id]
            worker = self._workers.pop(meant[0]) if len(meant) == 1 else None
        if worker is not None:
            _end([worker])
            log.info("worker %s has ended, with %d", request.worker_id, worker.returncode)
        return beam_fn_api_pb2.StopWorkerResponse()

    def _forget_ended(self) -> None:
        for key in [key for key, worker in self._workers.items() if worker.poll() is not None]:
            del self._workers[key]

    def close(self) -> None:
        """Ends all workers, and those that are just being started."""
        with self._lock:
            self._closed = True
            workers = list(self._workers.values())
            self._workers.clear()
        _end(workers)


def serve(host: str, port: int, log_level: str = "info") -> None:
    """Runs a pool until SIGTERM or Ctrl-C; its workers end with it.

    Args:
        host: The interface to listen on.
        port: 0 is any that is free; the log says which.
        log_level: Of what workers log to stderr.

    Raises:
        ConfigurationError: Nobody can listen there.
    """
    _check_free(host, port)
    pool = WorkerPool(log_level)
    # An answer may take as long as a worker's end does.
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as e:
        raise ConfigurationError(f"--host {host} --port {port}: can't listen there: {e}") from None
    if host not in LOOPBACK:
        log.warning(
            "whoever reaches %s:%d can run any program here: let nobody but the task manager do so",
            host,
            bound,
        )
    done = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        done.set()

    # The first process of a container is deaf to signals that it does not handle.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    server.start()
    log.info("worker pool on %s:%d", host, bound)
    done.wait()
    server.stop(0)
    pool.close()


def _check_free(host: str, port: int) -> None:
    """Refuses where nobody can listen; gRPC would say so in a line of its own, and not why.

    Raises:
        ConfigurationError: Nobody can listen there.
    """
    flag = f"--host {host} --port {port}"
    try:
        family, kind, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
            tried.listen()
    except OSError as e:
        raise ConfigurationError(
            f"{flag}: can't listen there ({e.strerror or e}): give another port, or a host that is "
            "one of this machine's"
        ) from None


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    """Ends processes, all of them at once; kills those that take too long, and waits for each."""
    for worker in workers:
        worker.terminate()
    for worker in workers:
        try:
            worker.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
