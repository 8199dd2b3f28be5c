"""Fakes: a model whose answers are known, and a source whose messages are in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from models.bundle import Bundle
from models.cascade import Answer, Rows
from models.errors import ModelError
from transforms.reading import Batch, Reader, Source
from transforms.records import KafkaPosition, Message
from transforms.tally import Backlog


class FakeModel:
    """Stands for a `ModelCascade`: `answer` makes the logits of a row, or raises `ModelError`."""

    def __init__(self, answer: Callable[[Sequence[int]], Sequence[float]]) -> None:
        self.bundle = Bundle.load("ag_news_small")
        self.rows: list[Sequence[int]] = []
        self._answer = answer

    def answers(self, texts: Sequence[Rows]) -> list[Answer | Exception]:
        return [self._of_text(rows) for rows in texts]

    def _of_text(self, rows: Rows) -> Answer | Exception:
        self.rows += rows
        try:
            return Answer(0, [np.array(self._answer(row), np.float32) for row in rows])
        except ModelError as e:
            return e


class MemorySource(Source):
    """Messages in memory, by shard; the position is how many were taken.

    Pickled by its name: what is behind it lives in this process, as a consumer does.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def shards(self) -> list[str]:
        return list(_worlds[self.name].readers)

    def reader(self, shard: str) -> Reader:
        return _worlds[self.name].readers[shard]


class World:
    """What a `MemorySource` reads, and what was done to it.

    Attributes:
        source: The source.
        readers: Its readers, by shard.
        log: What happened, in order: `("seen", shard, offset)` when a sink saw a message,
            `("committed", shard, position)`.
        on_empty: Called whenever a shard was found drained; a test ends the pipeline with it.
    """

    def __init__(
        self, source: MemorySource, messages: dict[str, list[Message]], ends: bool
    ) -> None:
        self.source = source
        self.log: list[tuple[str, str, Any]] = []
        self.lock = threading.Lock()
        self.on_empty: Callable[[], None] = lambda: None
        self.readers = {
            shard: MemoryReader(self, shard, messages[shard], ends) for shard in messages
        }

    def note(self, what: str, shard: str, detail: Any) -> None:
        with self.lock:
            self.log.append((what, shard, detail))

    def noted(self, what: str) -> list[tuple[str, Any]]:
        with self.lock:
            return [(shard, detail) for kind, shard, detail in self.log if kind == what]


class MemoryReader(Reader):
    """Reads a list."""

    def __init__(self, world: World, shard: str, messages: list[Message], ends: bool) -> None:
        self._world = world
        self._shard = shard
        self._messages = messages
        self._ends = ends
        self._next = 0

    def resume(self, position: int | None) -> None:
        self._next = position or 0

    def poll(self, timeout: float, limit: int) -> Batch:
        taken = self._messages[self._next : self._next + limit]
        self._next += len(taken)
        if not taken:
            self._world.on_empty()
        left = Backlog(len(self._messages) - self._next, None)
        return Batch(taken, self._next, 1_700_000_000.0, left)

    def at_end(self) -> bool:
        return self._ends and self._next == len(self._messages)

    def commit(self, position: int | None) -> Callable[[], None] | None:
        return lambda: self._world.note("committed", self._shard, position)


_worlds: dict[str, World] = {}


@contextmanager
def world(counts: dict[str, int], *, ends: bool) -> Iterator[World]:
    """Makes a source with so many messages in each shard; `ends` is `--stop_at_end`."""
    name = f"world-{len(_worlds)}"
    messages = {
        shard: [
            Message(b"%d" % i, timestamp=1_700_000_000_000, source=KafkaPosition(shard, 0, i))
            for i in range(count)
        ]
        for shard, count in counts.items()
    }
    _worlds[name] = World(MemorySource(name), messages, ends)
    yield _worlds[name]


def world_named(name: str) -> World:
    """The world of a source, from within a step."""
    return _worlds[name]
