"""The Beam timestamp of a message: the time its record carries."""

from __future__ import annotations

import time

from apache_beam.utils.timestamp import Timestamp

from transforms.records import Message

#: The end of the year 9999, in milliseconds. What claims to be later was written in another unit
#: (nanoseconds, say), and may be more than Beam can encode.
_LATEST = 253_402_300_799_999


def event_timestamp(message: Message) -> Timestamp:
    """The message's own time, or else the time now."""
    if message.timestamp is None or not 0 <= message.timestamp <= _LATEST:
        return Timestamp.of(time.time())
    return Timestamp(micros=message.timestamp * 1000)
