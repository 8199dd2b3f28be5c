"""Server processes under the tests' control: start, signal, stop; free ports; waiting."""

from __future__ import annotations

import atexit
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

_handed_out: set[int] = set()
_random = random.Random(os.urandom(8))  # tests that seed `random` draw the same ports otherwise


def free_port() -> int:
    """Return a port that is free on 127.0.0.1 and that this process has not been given before.

    It lies below the range from which the system takes ports for outgoing connections: there, a
    client that keeps reconnecting to a stopped server would in the end connect to itself and
    keep the server from coming back on its port.
    """
    low, end = 15_000, _first_ephemeral_port()
    for _ in range(1_000):
        port = _random.randrange(low, end)
        if port in _handed_out:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _handed_out.add(port)
        return port
    raise OSError(f"found no free port on 127.0.0.1 between {low} and {end}")


def _first_ephemeral_port() -> int:
    try:
        low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):  # not Linux
        low = 32_768
    return low if low > 16_000 else 65_536


def wait_until(
    condition: Callable[[], T],
    description: str,
    timeout: float = 120.0,
    interval: float = 0.05,
    retry_on: tuple[type[Exception], ...] = (),
) -> T:
    """Call `condition` until it returns something true, and return that.

    Args:
        condition: what to wait for.
        description: completes "waited N s for ...".
        timeout: seconds; large, since it only serves to end a wait that is lost.
        interval: seconds between two calls.
        retry_on: exceptions of `condition` that count as "not yet".

    Raises:
        TimeoutError: the condition was still not met after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        last_error: Exception | None = None
        try:
            if result := condition():
                return result
        except retry_on as error:
            last_error = error
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {timeout:.0f} s for {description}") from last_error
        time.sleep(interval)


class ServerProcess:
    """One server process, in a session of its own, writing to a log file.

    It may be started again after it ended; the log goes on. As a context manager it is started
    on entry and stopped on exit; at the end of the interpreter it is stopped in any case.

    Args:
        command: program and arguments.
        log: file that receives standard output and standard error.
        env: variables on top of this process's environment.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.command = [str(part) for part in command]
        self.log = log
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start the process. Does not wait until the server answers."""
        if self.running:
            raise RuntimeError(f"{self.command[0]} is running already, pid {self.pid}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,  # Ctrl-C in the terminal is pytest's alone
            )
        atexit.register(self.kill)
        return self

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended (a paused one is running)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the latest start."""
        if self._process is None:
            raise RuntimeError(f"{self.command[0]} was never started")
        return self._process.pid

    def pause(self) -> None:
        """Freeze the process (SIGSTOP): it keeps its connections and answers nothing.

        Returns when it has come to a stop, not when it has been told to.
        """
        self._signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the process at once, as `kill -9` does, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self, timeout: float = 60.0) -> None:
        """Ask the process to end (SIGTERM); kill it if it is still there after `timeout` s."""
        if not self.running:
            return
        self._signal(signal.SIGCONT)  # a paused process would not hear the request
        try:
            self._end(signal.SIGTERM, timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def check_running(self) -> None:
        """Raise RuntimeError with the end of the log if the process has ended by itself."""
        if not self.running:
            code = None if self._process is None else self._process.returncode
            raise RuntimeError(
                f"{Path(self.command[0]).name} ended with {code}; its log {self.log} ends so:\n"
                + self.log_tail()
            )

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals, timeout: float | None = None) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout)
        atexit.unregister(self.kill)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
