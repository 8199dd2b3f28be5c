"""The Beam timestamp of a message: the time its record carries."""

from __future__ import annotations

import time

from apache_beam.utils.timestamp import Timestamp

from transforms.records import Message


def event_timestamp(message: Message) -> Timestamp:
    """The message's own time, or else the time now."""
    if message.timestamp is None or message.timestamp < 0:
        return Timestamp.of(time.time())
    return Timestamp(micros=message.timestamp * 1000)
