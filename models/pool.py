"""The process-wide thread pool that models run on: as many threads as there are cores, or fewer."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

#: What a thread of the pool does; it may bring more to do.
Job = Callable[[], "Iterable[Job]"]

_lock = threading.RLock()
_pool: ThreadPoolExecutor | None = None
_most: int | None = None


def cores() -> int:
    """How many cores this process may use: its affinity, and its container's quota (cgroup v2)."""
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            count = min(count, -(-int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no such limit here
    return max(1, count)


def share_of_host(threads: int | None, processes: int) -> int:
    """How many threads a process may use, so that all of a host use as many as it has cores.

    Args:
        threads: What somebody has asked for; None for the share.
        processes: How many processes the host has that run the model; 0 is one for each core.
    """
    if threads is not None:
        return max(1, min(threads, cores()))
    return 1 if processes == 0 else max(1, cores() // processes)


def limit(threads: int) -> None:
    """Makes the pool one of so many threads at most, from the next use on."""
    global _pool, _most
    with _lock:
        before, _most = _most, threads
        if _pool is not None and before != threads:
            # What was handed in is done.
            _pool.shutdown(wait=False)
            _pool = None


def pool() -> ThreadPoolExecutor:
    """The pool. All models share it, so that together they never run more threads than cores."""
    global _pool
    with _lock:
        if _pool is None:
            most = min(_most or cores(), cores())
            _pool = ThreadPoolExecutor(most, thread_name_prefix="newsbeam-model")
        return _pool


class Jobs:
    """Jobs on the pool, which any number of its threads take one after the other.

    Args:
        jobs: The jobs. What one of them brings is done by the thread that did it, or by another one
            that has nothing to do.
        threads: The most threads of the pool that work on them.
    """

    def __init__(self, jobs: Iterable[Job], threads: int) -> None:
        self._todo = deque(jobs)
        helpers = min(threads, len(self._todo))
        with _lock:  # nobody shuts the pool down in between
            self._helpers: list[Future[Any]] = [pool().submit(self._drain) for _ in range(helpers)]

    def wait(self) -> None:
        """Waits until all is done; raises what a job has raised."""
        for helper in self._helpers:
            helper.result()

    def _drain(self) -> None:
        while True:
            try:
                job = self._todo.popleft()
            except IndexError:
                return
            self._todo.extend(job())


def _forget() -> None:
    """Threads do not survive a fork: the child makes its own pool."""
    global _lock, _pool
    _lock = threading.RLock()
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
