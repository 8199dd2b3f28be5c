"""Keeps Python's collector of cyclic garbage from stopping the steps."""

from __future__ import annotations

import functools
import gc

#: So many new containers are looked at together. Python's 700 are fewer than one poll brings.
YOUNG = 20_000


@functools.cache
def spare_what_stays() -> None:
    """Has the collector pass over all that this process has loaded: once, when it begins to work.

    Beam, the clients and the graph are half a million objects that stay. To look through them takes
    0.13 s, in which nothing else goes on, and records beget a look every few thousand.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
