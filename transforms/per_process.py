"""What lives as long as its process, however often runners make and drop what uses it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class PerProcess(Generic[K, V]):
    """One of something for each key; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: dict[K, V] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The one of a key, made if it is not there."""
        with self._lock:
            if key not in self._all:
                self._all[key] = make()
            return self._all[key]

    def peek(self, key: K) -> V | None:
        """The one of a key, if it is there."""
        with self._lock:
            return self._all.get(key)

    def drop(self, key: K, value: V) -> bool:
        """Forgets the one of a key, unless that is another by now; says whether it did."""
        with self._lock:
            ours = self._all.get(key) is value
            if ours:
                del self._all[key]
            return ours

    def clear(self) -> list[V]:
        """Forgets all, and gives them back to be closed."""
        with self._lock:
            values = list(self._all.values())
            self._all.clear()
            return values
