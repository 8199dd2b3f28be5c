"""One `python -m pipeline run` as a process group, and a supervisor that starts it again."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.servers.processes import wait_until

REPOSITORY = Path(__file__).parents[2]


class Instance:
    """A running pipeline, in a session of its own: Prism, its child, belongs to it.

    Args:
        args: The arguments of `run`.
        log: Receives what it prints.
    """

    def __init__(self, args: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pipeline", "run", *args],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        atexit.register(self.kill)

    @property
    def code(self) -> int | None:
        """The exit code, once it has ended."""
        return self._process.poll()

    def terminate(self) -> None:
        """Asks it to finish what it has read (SIGTERM)."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it and its children at once, and waits until they are gone."""
        self._process.poll()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        wait_until(self._gone, f"the processes of group {self._process.pid} to go")
        atexit.unregister(self.kill)

    def _gone(self) -> bool:
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def said(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace")


class End(NamedTuple):
    """A pipeline that ended by itself.

    Attributes:
        code: Its exit code.
        during: Which fault was being inflicted.
        last_line: The last line it printed.
        log: All it printed.
    """

    code: int
    during: str
    last_line: str
    log: Path


class Supervisor:
    """Keeps one instance running.

    Args:
        args: The arguments of `run`.
        directory: Where the logs go.
    """

    def __init__(self, args: Sequence[str], directory: Path) -> None:
        self._args = args
        self._directory = directory
        self._number = 0
        #: All instances that ended by themselves.
        self.ends: list[End] = []
        #: Which fault is being inflicted now.
        self.during = "no fault"
        self.current = self._new()

    def _new(self) -> Instance:
        self._number += 1
        return Instance(self._args, self._directory / f"pipeline-{self._number:03}.log")

    def look(self) -> None:
        """Starts the pipeline again if it has ended."""
        code = self.current.code
        if code is None:
            return
        lines = self.current.said().strip().splitlines()
        last_line = lines[-1] if lines else ""
        self.ends.append(End(code, self.during, last_line, self.current.log))
        self.current.kill()
        self.current = self._new()

    def kill(self) -> None:
        """Kills the pipeline and starts it again."""
        self.current.kill()
        self.current = self._new()

    def succeed(self) -> Instance:
        """Starts a successor beside the pipeline, and returns the one that runs already."""
        former = self.current
        self.current = self._new()
        return former

    def finish(self) -> int:
        """Asks the pipeline to finish, and returns its exit code; it is not started again."""
        self.current.terminate()
        wait_until(lambda: self.current.code is not None, "the pipeline to finish", timeout=600)
        assert self.current.code is not None
        return self.current.code

    def logs(self) -> list[Path]:
        """The logs of all instances."""
        return sorted(self._directory.glob("pipeline-*.log"))
