"""The Beam timestamp of a message: the time its record carries, or that its element had."""

from __future__ import annotations

import time
from typing import Any

import msgspec
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from transforms.records import Message

#: The end of the year 9999, in milliseconds. What claims to be later was written in another unit
#: (nanoseconds, say), and may be more than Beam can encode.
_LATEST = 253_402_300_799_999


def event_timestamp(message: Message) -> Timestamp:
    """The message's own time, or else that of its element, or else the time now."""
    return Timestamp(micros=event_micros(message))


def event_micros(message: Message) -> int:
    """That in microseconds since the epoch: a Beam timestamp takes as long to make as a message."""
    own = message.timestamp
    if own is not None and 0 <= own <= _LATEST:
        return own * 1000
    if message.element_timestamp is not None:
        return message.element_timestamp
    return int(time.time() * 1_000_000)


def of_element(message: Message, timestamp: Any) -> Message:
    """The message as an element of a pipeline: where it has no time of its own, the element's counts.

    Elements that nobody has given a timestamp have Beam's least; outside of a pipeline there is none.
    """
    if _has_time(message) or not isinstance(timestamp, Timestamp) or timestamp <= MIN_TIMESTAMP:
        return message
    return msgspec.structs.replace(message, element_timestamp=timestamp.micros)


def _has_time(message: Message) -> bool:
    return message.timestamp is not None and 0 <= message.timestamp <= _LATEST
