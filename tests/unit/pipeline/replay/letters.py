"""Dead letters for tests, as newsbeam writes them, and ends that hold them in memory."""

from __future__ import annotations

import datetime
from collections.abc import Generator, Sequence
from typing import Any

import msgspec

from pipeline.ends.letters import Letters, Publisher, Resent
from pipeline.replay.found import Found, found_in
from transforms.records import (
    DeadLetter,
    KafkaPosition,
    Message,
    dead_letter,
    dead_letter_headers,
)

NOON = datetime.datetime(2026, 2, 1, 12, tzinfo=datetime.UTC)


def letter(offset: int = 0, error: str = "not valid JSON", **changes: Any) -> DeadLetter:
    """A dead letter."""
    message = Message(
        value=b'{"id": %d' % offset,
        key=b"k%d" % offset,
        headers=(("hop", b"\x00"), ("hop", b"")),
        timestamp=1_700_000_000_000 + offset,
        source=KafkaPosition("news", 0, offset),
    )
    made = dead_letter(message, "ParseNews", ValueError(error))
    return msgspec.structs.replace(made, time=NOON, **changes)


def record(dead: DeadLetter, offset: int = 0, *more: tuple[str, bytes]) -> Message:
    """The record of the dead-letter topic that holds it."""
    return Message(
        value=dead.message.value,
        key=dead.message.key,
        headers=(*dead_letter_headers(dead), *more),
        timestamp=dead.message.timestamp,
        source=KafkaPosition("dead", 0, offset),
    )


def found(offset: int = 0, **changes: Any) -> Found:
    """A dead letter that was found in a topic."""
    return found_in(record(letter(offset, **changes), offset))


class InMemory(Letters):
    """Dead letters in memory, three a batch."""

    def __init__(self, records: Sequence[Message]) -> None:
        self._records = records
        self.noted: list[Message] = []
        self.closed = False

    def batches(self) -> Generator[Sequence[Message]]:
        try:
            for i in range(len(self.noted), len(self._records), 3):
                yield self._records[i : i + 3]
        finally:
            self.closed = True

    def taken(self, seen: Sequence[Message], sent: Sequence[Resent]) -> None:
        self.noted += seen


class Written(Publisher):
    """Keeps what is written; refuses some keys, and fails at others."""

    def __init__(self, refused: Sequence[bytes] = (), fails_at: bytes | None = None) -> None:
        self.messages: list[Message] = []
        self._refused, self.fails_at = refused, fails_at

    def refusal(self, message: Message) -> str | None:
        return "not wanted here" if message.key in self._refused else None

    def publish(self, messages: Sequence[Message]) -> None:
        if any(message.key == self.fails_at for message in messages):
            raise ConnectionError("gone")
        self.messages += messages
