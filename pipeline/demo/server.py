"""A server of the demo's: a process of its own, which ends with us."""

from __future__ import annotations

import abc
import atexit
import subprocess
from types import TracebackType
from typing import IO, ClassVar, Self


class EmbeddedServer(abc.ABC):
    """A server in a process of its own; all that is in it is gone when it stops."""

    #: What it is called in messages.
    NAME: ClassVar[str]

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @abc.abstractmethod
    def start(self) -> Self:
        """Starts it, and waits until it answers; does nothing where it is running."""

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            RuntimeError: It is not started.
        """
        if self._process is None:
            raise RuntimeError(f"the embedded {self.NAME} is not started")
        return self._process.pid

    def stop(self) -> None:
        """Stops it, and waits until it is gone; does nothing where it is not running."""
        atexit.unregister(self.stop)
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # nothing to lose: all of it is in memory
            process.wait()
            # Who watches over it ends with its stdin.
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
