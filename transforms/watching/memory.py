"""The memory of this process: what it uses, and what it may use."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from transforms.watching.figures import FIGURES
from transforms.watching.metrics import MEMORY

#: How often it is noted for Beam's metrics, in seconds.
EVERY = 10.0
#: Where a container's limit stands: of version 2 of Linux' control groups, and of version 1.
LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)

_noted_at = -EVERY


def note_memory() -> None:
    """Notes the memory in use now and then; Prometheus asks for itself."""
    global _noted_at
    now = time.monotonic()
    if now - _noted_at < EVERY:
        return
    _noted_at = now
    used = resident()
    if used is not None:
        FIGURES.put(MEMORY, used)


def resident() -> int | None:
    """Memory in use, in bytes; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def limit(files: tuple[Path, ...] = LIMITS) -> int | None:
    """What may be used, in bytes: the container's limit, or else all of the machine's memory."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in files:
        # Without a limit it says "max".
        with contextlib.suppress(OSError, ValueError):
            found.append(int(file.read_text(encoding="ascii")))
    return min(found, default=None)
