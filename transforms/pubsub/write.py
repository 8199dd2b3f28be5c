"""Writes outcomes to Pub/Sub: `PubSubSink`."""

from __future__ import annotations

from collections.abc import Iterable

from transforms.pubsub.attributes import size_of
from transforms.pubsub.encode import Outgoing, PubSubTopic, encode
from transforms.pubsub.publish import publish
from transforms.records import DeadLetter, Outcome
from transforms.writing import Sink, Writer

#: Messages and bytes that are published before a bundle's end: it bounds memory.
PUBLISH_AT, PUBLISH_AT_BYTES = 2000, 16_000_000


class PubSubSink(Sink):
    """A topic, for categorized items, dead letters, or both; at least once.

    A bundle is done when Pub/Sub has confirmed all of its messages. See `transforms.pubsub.encode` for
    what they are.

    Args:
        topic: The topic.
    """

    def __init__(self, topic: PubSubTopic) -> None:
        self.topic = topic

    def writer(self) -> PubSubWriter:
        return PubSubWriter(self.topic)


class PubSubWriter(Writer):
    """Gathers the messages of a bundle, and publishes them together."""

    def __init__(self, topic: PubSubTopic) -> None:
        self._topic = topic
        self.forget()

    def add(self, outcome: Outcome) -> None:
        message = encode(outcome, self._topic)
        if isinstance(message, Outgoing):
            self._messages.append(message)
            self._bytes += size_of(message.carried)
        else:
            self._letters.append(message)

    @property
    def full(self) -> bool:
        return len(self._messages) >= PUBLISH_AT or self._bytes >= PUBLISH_AT_BYTES

    def flush(self) -> Iterable[DeadLetter]:
        letters = self._letters + publish(self._topic, self._messages)
        self.forget()
        return letters

    def forget(self) -> None:
        self._messages: list[Outgoing] = []
        self._letters: list[DeadLetter] = []
        self._bytes = 0
