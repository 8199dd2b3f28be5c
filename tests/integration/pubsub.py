"""What the Pub/Sub tests share: a topic and a subscription of their own, and readers of it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from tests.servers.processes import wait_until
from tests.servers.pubsub import PROJECT, PubSubServer
from transforms.pubsub.encode import PubSubTopic
from transforms.pubsub.read import PubSubSource
from transforms.pubsub.reader import SubscriptionReader
from transforms.pubsub.write import PubSubSink
from transforms.records import Message, PubSubPosition


class News:
    """A topic of news with a subscription, and topics for what comes of them.

    Args:
        server: The fake.
        name: A name that no other test uses.
        options: Of the subscription.
    """

    def __init__(self, server: PubSubServer, name: str, **options: Any) -> None:
        self.server = server
        self.topic, self.subscription = f"{name}-news", f"{name}-sub"
        self.out, self.dead = f"{name}-out", f"{name}-dead"
        for topic in (self.topic, self.out, self.dead):
            server.create_topic(topic)
        self.path = server.create_subscription(self.subscription, self.topic, **options)

    def publish(self, count: int, attributes: Mapping[str, str] | None = None) -> list[str]:
        """Publishes so many items; gives their ids."""
        data = [b'{"id":"%d","title":"Stocks fell %d"}' % (n, n) for n in range(count)]
        return self.server.publish(self.topic, data, lambda n: {"n": str(n), **(attributes or {})})

    def source(self, **options: Any) -> PubSubSource:
        """The subscription."""
        return PubSubSource(self.server.settings, PROJECT, self.subscription, **options)

    def reader(self, **options: Any) -> SubscriptionReader:
        """A reader of it, to be closed by `close_readers`."""
        source = self.source(**options)
        reader = source.reader(source.shards()[0])
        reader.resume(None)
        return reader

    def sink(self, topic: str, ordering: bool = False) -> PubSubSink:
        """A topic as a sink."""
        return PubSubSink(PubSubTopic(self.server.settings, PROJECT, topic, ordering))

    def left(self) -> list[str]:
        """The ids of what others are given now: what nobody holds."""
        return [message.message_id for message in self.server.drain(self.subscription)]


def take(reader: SubscriptionReader, count: int) -> list[Message]:
    """Polls until so many messages have come, in as many batches as it takes."""
    found: list[Message] = []

    def enough() -> bool:
        found.extend(reader.poll(0.1, count - len(found)).messages)
        return len(found) >= count

    wait_until(enough, f"{count} messages", interval=0.001)
    return found


def ids(messages: Iterable[Message]) -> list[str]:
    """The ids of messages."""
    found = []
    for message in messages:
        assert isinstance(message.source, PubSubPosition)
        found.append(message.source.message_id)
    return found


def commit(reader: SubscriptionReader) -> None:
    """Ends the bundle that is read; it is final."""
    position = reader.poll(0, 0).position
    done = reader.commit(position)
    if done is not None:
        done()
    reader.resume(position)


def wait_for_lease(began: float, lease: float) -> None:
    """Waits until a lease of that time would have ended."""
    wait_until(lambda: time.monotonic() > began + lease, "a lease to end")
