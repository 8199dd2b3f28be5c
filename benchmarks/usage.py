"""What a process uses: memory and CPU, children included."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

#: Seconds between two looks.
INTERVAL = 0.5


class Usage:
    """What a process and its children used so far.

    Attributes:
        memory: The most resident memory, in bytes.
        cpu: CPU time, in seconds.
    """

    def __init__(self, pid: int) -> None:
        self.memory, self.cpu = 0, 0.0
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL):
            try:
                every = [self._process, *self._process.children(recursive=True)]
                self.memory = max(self.memory, sum(p.memory_info().rss for p in every))
                self.cpu = sum(sum(p.cpu_times()[:2]) for p in every)
            except psutil.Error:
                return


@contextmanager
def used(run: subprocess.Popen[bytes]) -> Iterator[Usage]:
    """Watches a process while a block runs."""
    usage = Usage(run.pid)
    usage._thread.start()
    try:
        yield usage
    finally:
        usage._stop.set()
        usage._thread.join()
