"""Pub/Sub messages as `Message`s: data, attributes, ordering key, and their time."""

from __future__ import annotations

import datetime
from typing import Any

from transforms.pubsub.attributes import from_attributes
from transforms.records import Message, PubSubPosition
from transforms.tally import TALLY

#: The end of the year 9999, in milliseconds.
_LATEST = 253_402_300_799_999


def message_of(received: Any, subscription: str, time_attribute: str | None = None) -> Message:
    """The message that Pub/Sub sent.

    Its data is the value, its attributes are headers (by name, as UTF-8), its ordering key is the key.
    What newsbeam wrote for a Kafka record is that record again: see `transforms.pubsub.attributes`.

    Args:
        received: A `PubsubMessage` of protobuf.
        subscription: The name of the subscription.
        time_attribute: The attribute that holds its time, as RFC 3339 or in milliseconds since the
            epoch. Where it is missing or can't be read, the time of publication counts, and the
            message is counted as one whose time is unreadable.
    """
    attributes = dict(received.attributes)
    content = from_attributes(received.data, attributes, received.ordering_key)
    time = None
    if time_attribute is not None:
        time = milliseconds(attributes.get(time_attribute, ""))
        if time is None:
            # A name that no message has would else go unnoticed.
            TALLY.unreadable_time()
    if time is None:
        time = content.timestamp
    if time is None:
        time = received.publish_time.seconds * 1000 + received.publish_time.nanos // 1_000_000
    return Message(
        value=content.value,
        key=content.key,
        headers=content.headers,
        timestamp=time,
        source=PubSubPosition(subscription, received.message_id),
    )


def milliseconds(text: str) -> int | None:
    """A time of RFC 3339, or in milliseconds since the epoch; None where it is neither."""
    text = text.strip()
    try:
        if text.isascii() and text.isdigit():
            time = int(text)
        else:
            moment = datetime.datetime.fromisoformat(text)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=datetime.UTC)
            time = int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return time if 0 <= time <= _LATEST else None
