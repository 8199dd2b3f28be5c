"""The process-wide thread pool that models run on: as many threads as there are cores."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


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


def pool() -> ThreadPoolExecutor:
    """The pool. All models share it, so that together they never run more threads than cores."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(cores(), thread_name_prefix="newsbeam-model")
        return _pool


def _forget() -> None:
    """Threads do not survive a fork: the child makes its own pool."""
    global _lock, _pool
    _lock = threading.Lock()
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
