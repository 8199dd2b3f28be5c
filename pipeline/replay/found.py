"""Dead letters as they are found in records, and what a replay makes of them."""

from __future__ import annotations

import datetime
from typing import NamedTuple

import msgspec

from pipeline.outcomes import UnreadableRecord, outcome_of
from transforms.records import HEADER_PREFIX, CategorizedItem, DeadLetter, Message

_ATTEMPT = HEADER_PREFIX + "attempt"
_SOURCE = HEADER_PREFIX + "source"
#: What says that a dead letter could not be kept whole.
_CUT = (HEADER_PREFIX + "cut_from_bytes", HEADER_PREFIX + "cut_attributes")


class NoDeadLetter(Exception):
    """A record is something else; the message says where it stands, and what it is."""


class Found(NamedTuple):
    """A dead letter and the record that it was read from."""

    letter: DeadLetter
    record: Message

    @property
    def source(self) -> str:
        """Where the message stood that became a dead letter; empty where that is not said."""
        for name, value in self.record.headers:
            if name == _SOURCE:
                return (value or b"").decode(errors="replace")
        in_headers = self.letter.message.source == self.record.source
        return "" if in_headers else str(self.letter.message.source or "")

    @property
    def cut(self) -> bool:
        """Whether some of the message is missing: it was too large for where dead letters go."""
        return any(name in _CUT for name, _ in self.record.headers)

    def again(self) -> Message:
        """The message as it was; only a header says how often it has failed."""
        message = self.letter.message
        attempt = (_ATTEMPT, str(self.letter.attempt).encode())
        # Compacted topics take no record without a key: dead letters get their place in the source.
        given = message.key is not None and message.key == self.source.encode()
        return msgspec.structs.replace(
            message,
            key=None if given else message.key,
            headers=(*message.user_headers, attempt),
        )


def found_in(record: Message) -> Found:
    """The dead letter that a record holds.

    Raises:
        NoDeadLetter: It holds none.
    """
    try:
        letter = outcome_of(record)
    except UnreadableRecord as e:
        raise NoDeadLetter(str(e)) from None
    if isinstance(letter, CategorizedItem):
        raise NoDeadLetter(f"{record.source} is a categorized item")
    if letter.time.tzinfo is None:  # anybody can write headers
        letter = msgspec.structs.replace(letter, time=letter.time.replace(tzinfo=datetime.UTC))
    return Found(letter, record)
