"""How Flink's times, sizes and versions are said, and read."""

from __future__ import annotations

import re


def span(ms: float) -> str:
    """About how long: `0.3 s`, `45 s`, `12 min`, `3 h`, `2 d`."""
    seconds = ms / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def size(n: float) -> str:
    """Bytes: `812 B`, `12.3 kB`, `4.0 MB`."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= length:
            return f"{n / length:.1f} {unit}"
    return f"{int(n)} B"


def version_of(said: str) -> tuple[int, ...]:
    """A version as numbers: `2.77.0` is 2, 77, 0."""
    return tuple(int(n) for n in re.findall(r"\d+", said)[:3])
