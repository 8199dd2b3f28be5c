"""Reads back what newsbeam wrote: categorized items and dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from transforms.formats.framing import framed
from transforms.records import (
    HEADER_PREFIX,
    Message,
    Outcome,
    categorized_from_json,
    dead_letter_from_headers,
    dead_letter_from_json,
)

if TYPE_CHECKING:
    from transforms.avro_items import AvroItemsReader


class UnreadableRecord(Exception):
    """A record is neither a categorized item nor a dead letter; the message says where and why."""


def outcome_of(message: Message, avro: AvroItemsReader | None = None) -> Outcome:
    """Decodes what newsbeam wrote.

    Args:
        message: The record that it wrote.
        avro: Reads results in Avro; without it they can't be read.

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
        if (frame := framed(message)) is not None:
            if avro is None:
                raise ValueError(f"it is {frame}: give ?schema_registry=URL")
            return avro.read(message)
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
