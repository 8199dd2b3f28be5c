"""Importing much at a time, and less of it."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

#: What Beam imports for sources and sinks of its own, whether anybody has one of them or not.
OF_CLOUDS = (
    "boto3",
    "google.cloud.bigquery",
    "google.cloud.bigquery_storage_v1",
    "google.cloud.dataflow",
    "google.cloud.pubsub",
)


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


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Surrounds imports: Ctrl-C ends the process at once, with exit code 130 and nothing said.

    As an exception it would get lost now and then: imports run callbacks that can raise none. A signal
    that is ignored, or that somebody else handles, is left alone.
    """
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(130))
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def clouds_when_used() -> Iterator[None]:
    """Surrounds the import of Beam: clients of clouds are loaded once somebody uses them."""
    finder = _Lazily()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Lazily:
    """Finds modules as ever, and has them loaded when the first of their names is asked for."""

    def __init__(self) -> None:
        self._names = set(OF_CLOUDS)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._names:
            return None
        self._names.remove(name)  # the others are to find it
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec
