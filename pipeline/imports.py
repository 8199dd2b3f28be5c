"""Importing much at a time."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Surrounds imports: they make hundreds of thousands of objects, none of which is garbage.

    Looking through all of them again and again is a tenth of what Beam takes to import. Nor are they
    looked through later, at each full collection.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
