"""The worker pool for tests: where Flink's task managers have Python processes started."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.servers.processes import ServerProcess, free_port, wait_until

REPOSITORY = Path(__file__).parents[2]


class WorkerPool:
    """Starts SDK processes when it is asked to; they run the code of this worktree.

    For `--environment_type=EXTERNAL --environment_config=ADDRESS`.

    Args:
        directory: Where its log goes, `worker-pool.log`, with what SDK processes write to stderr.
        env: Variables of the SDK processes, on top of this process's environment.

    Attributes:
        address: `127.0.0.1:PORT`.
    """

    def __init__(self, directory: Path, env: dict[str, str] | None = None) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self._port = port
        self._process = ServerProcess(
            [sys.executable, "-m", "pipeline", "worker-pool", "--port", str(port)],
            directory / "worker-pool.log",
            {"PYTHONPATH": str(REPOSITORY), **(env or {})},
        )

    @property
    def log(self) -> Path:
        """Its log."""
        return self._process.log

    @property
    def running(self) -> bool:
        """Whether the pool itself runs."""
        return self._process.running

    @property
    def pid(self) -> int:
        """Process id of the pool itself."""
        return self._process.pid

    def start(self) -> Self:
        """Starts the pool, again if need be, and waits until it answers."""
        self._process.start()
        atexit.register(self.kill)

        def answers() -> bool:
            self._process.check_running()
            with socket.create_connection(("127.0.0.1", self._port)):
                return True

        wait_until(answers, f"the worker pool (its log: {self.log})", retry_on=(OSError,))
        return self

    def sdk_processes(self) -> list[int]:
        """Process ids of the SDK processes that it has started and that run, the oldest first."""
        found = []
        for process in psutil.process_iter(["create_time", "status"]):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if (
                    process.pid != self.pid
                    and os.getpgid(process.pid) == self.pid
                    and process.info["status"] != psutil.STATUS_ZOMBIE
                ):
                    found.append((process.info["create_time"], process.pid))
        return [pid for _, pid in sorted(found)]

    def kill_sdk_process(self, pid: int | None = None) -> int:
        """Ends an SDK process as `kill -9` does: the one given, or the newest; its process id."""
        pid = pid or self.sdk_processes()[-1]
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill(self) -> None:
        """Ends the pool and all its SDK processes at once, as if their machine were lost."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()
        wait_until(lambda: not self.sdk_processes(), "the SDK processes to go")
        atexit.unregister(self.kill)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
