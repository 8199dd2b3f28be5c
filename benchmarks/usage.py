"""What a process uses: memory and CPU, children included; and how it is stopped."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

#: Seconds between two looks.
INTERVAL = 0.5
#: How long a pipeline may take to finish what it has read, in seconds.
GRACE = 60.0


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


def stop(run: subprocess.Popen[bytes]) -> None:
    """Ends a pipeline as its user would; what does not end by itself is killed, children included."""
    children = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGTERM)
    try:
        run.wait(GRACE)
    except subprocess.TimeoutExpired:
        for process in (*children, run):
            process.kill()
        run.wait()
