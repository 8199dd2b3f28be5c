"""Looking at what waits in a subscription, without taking it."""

from __future__ import annotations

import uuid
from collections.abc import Generator

from transforms.pubsub.client import PubSubSettings
from transforms.pubsub.reader import SubscriptionReader
from transforms.pubsub.subscription import END_AFTER, Subscription
from transforms.records import Message

#: How many messages can be looked at: all are held until the end.
MOST = 20_000
_WAIT = 0.2


def peek(
    settings: PubSubSettings,
    project: str,
    name: str,
    *,
    follow: bool = False,
    quiet: float = END_AFTER,
    most: int = MOST,
    time_attribute: str | None = None,
) -> Generator[list[Message]]:
    """Gives the messages that wait in a subscription, some at a time; nothing is acknowledged.

    They are given back when the iterator is closed, to be delivered again at once. While it runs, other
    readers of the subscription don't get them; and where the subscription has a dead-letter policy, this
    counts as an attempt to deliver them.

    Args:
        settings: How to reach Pub/Sub.
        project: The project of the subscription.
        name: Its name.
        follow: Go on when nothing comes; an empty list is given now and then.
        quiet: Otherwise it ends when nothing came for so long, in seconds.
        most: How many messages it holds; it ends after them.
        time_attribute: The attribute that holds a message's time.

    Raises:
        PubSubFailure: Pub/Sub refuses.
    """
    subscription = Subscription(
        settings,
        project,
        name,
        max_messages=most,
        max_bytes=2**31,
        time_attribute=time_attribute,
        run=uuid.uuid4().hex,
    )
    reader = SubscriptionReader(subscription, "peek")
    seen = 0
    try:
        reader.resume(None)
        while seen < most and (follow or reader.quiet() < quiet):
            messages = list(reader.poll(_WAIT, most - seen).messages)
            seen += len(messages)
            if messages or follow:
                yield messages
    finally:
        reader.close()
