"""Reads back what newsbeam wrote: categorized items and dead letters."""

from __future__ import annotations

import msgspec

from transforms.records import (
    HEADER_PREFIX,
    Message,
    Outcome,
    categorized_from_json,
    dead_letter_from_headers,
    dead_letter_from_json,
)


class UnreadableRecord(Exception):
    """A record is neither a categorized item nor a dead letter; the message says where and why."""


def outcome_of(message: Message) -> Outcome:
    """Decodes what newsbeam wrote.

    Raises:
        UnreadableRecord: It wrote something else, or somebody else did.
    """
    if message.fault is not None:
        raise UnreadableRecord(f"{message.source} can't be read: {message.fault}")
    try:
        if any(name == HEADER_PREFIX + "stage" for name, _ in message.headers):
            return dead_letter_from_headers(message)
        if message.value is None:
            raise ValueError("it has no value (a tombstone)")
        try:
            return categorized_from_json(message.value)
        except msgspec.ValidationError as not_categorized:
            try:
                return dead_letter_from_json(message.value)
            except msgspec.ValidationError:
                raise not_categorized from None
    except (ValueError, msgspec.MsgspecError, RecursionError) as e:
        reason = " ".join(str(e).split())
        raise UnreadableRecord(
            f"{message.source} is neither a categorized item nor a dead letter: {reason}"
        ) from None
