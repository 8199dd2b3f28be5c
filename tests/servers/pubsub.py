"""A fake Pub/Sub under the tests' control: topics, subscriptions, and what is in them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from google.pubsub_v1 import PubsubMessage, Subscription

from pipeline.demo.pubsub import EmbeddedPubSub
from tests.servers.cache import Unavailable
from tests.servers.processes import free_port, wait_until
from transforms.errors import ConfigurationError
from transforms.pubsub.client import PubSubSettings

PROJECT = "newsbeam-test"
#: The least deadline that the fake grants, in seconds.
MIN_DEADLINE = 1


class Published(NamedTuple):
    """A message of a topic."""

    data: bytes
    attributes: dict[str, str]
    ordering_key: str
    message_id: str


class PubSubServer:
    """Google's fake, on a port of its own; made anew it is empty."""

    def __init__(self) -> None:
        self._fake = EmbeddedPubSub(free_port(), MIN_DEADLINE)
        try:
            self._fake.start()
        except ConfigurationError as e:
            raise Unavailable(str(e)) from e
        self.settings = PubSubSettings(emulator=self._fake.address)
        self._streams: dict[str, str] = {}

    @property
    def address(self) -> str:
        """The value of PUBSUB_EMULATOR_HOST."""
        return self._fake.address

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._fake.pid

    def pause(self) -> None:
        """Freezes it: it keeps its connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Ends it at once; all that was in it is gone."""
        self._fake.stop()

    def start(self) -> None:
        """Starts it again on its port, empty."""
        self._fake.start()

    def close(self) -> None:
        """Stops it."""
        self._fake.stop()

    def create_topic(self, name: str) -> str:
        """Creates a topic, and keeps what is published to it for `read_all`; gives its full name."""
        path = f"projects/{PROJECT}/topics/{name}"
        self.settings.publisher().create_topic(name=path)
        self.create_subscription(f"all-of-{name}", name, ack_deadline_seconds=600)
        return path

    def create_subscription(self, name: str, topic: str, **options: Any) -> str:
        """Creates a subscription of a topic; gives its full name."""
        path = f"projects/{PROJECT}/subscriptions/{name}"
        options = {"ack_deadline_seconds": 10} | options
        subscription = Subscription(
            name=path, topic=f"projects/{PROJECT}/topics/{topic}", **options
        )
        self.settings.subscriber().create_subscription(subscription)
        return path

    def delete_topic(self, name: str) -> None:
        """Deletes a topic; its subscriptions keep what they have."""
        self.settings.publisher().delete_topic(topic=f"projects/{PROJECT}/topics/{name}")

    def delete_subscription(self, name: str) -> None:
        """Deletes a subscription."""
        path = f"projects/{PROJECT}/subscriptions/{name}"
        self.settings.subscriber().delete_subscription(subscription=path)

    def publish(
        self,
        topic: str,
        data: Iterable[bytes],
        attributes: Callable[[int], Mapping[str, str]] | None = None,
        ordering_key: Callable[[int], str] | None = None,
    ) -> list[str]:
        """Publishes messages; gives their ids.

        Args:
            topic: The name of the topic.
            data: Their data.
            attributes: The attributes of the n-th one.
            ordering_key: The ordering key of the n-th one.
        """
        messages = [
            PubsubMessage(
                data=one,
                attributes={} if attributes is None else attributes(n),
                ordering_key="" if ordering_key is None else ordering_key(n),
            )
            for n, one in enumerate(data)
        ]
        path = f"projects/{PROJECT}/topics/{topic}"
        ids: list[str] = []
        for part in _parts(messages):
            ids += self.settings.publisher().publish(topic=path, messages=part).message_ids
        return ids

    def read_all(self, topic: str) -> list[Published]:
        """All that was published to a topic since this was last asked."""
        return self.drain(f"all-of-{topic}")

    def drain(self, subscription: str) -> list[Published]:
        """Takes all that a subscription has to give now, and acknowledges it."""
        found: list[Published] = []
        while taken := self.take(subscription):
            found += taken
        return list({message.message_id: message for message in found}.values())

    def take(self, subscription: str) -> list[Published]:
        """Takes some of what a subscription has to give now, and acknowledges it."""
        path = f"projects/{PROJECT}/subscriptions/{subscription}"
        client = self.settings.subscriber()
        pulled = client.pull(subscription=path, max_messages=1000, return_immediately=True)
        if pulled.received_messages:
            acks = [received.ack_id for received in pulled.received_messages]
            client.acknowledge(subscription=path, ack_ids=acks)
        return [
            Published(m.data, dict(m.attributes), m.ordering_key, m.message_id)
            for m in (received.message for received in pulled.received_messages)
        ]

    def wait_for(self, topic: str, count: int) -> list[Published]:
        """Waits until a topic has so many messages; gives them."""
        found: list[Published] = []

        def enough() -> bool:
            found.extend(self.read_all(topic))
            return len(found) >= count

        wait_until(enough, f"{count} messages in {topic}, which has {len(found)}")
        return found


def _parts(messages: list[PubsubMessage]) -> Iterator[list[PubsubMessage]]:
    """Requests that Pub/Sub takes: of one ordering key each."""
    part: list[PubsubMessage] = []
    size = 0
    for message in messages:
        size += len(message.data) + 500
        other = part and part[0].ordering_key != message.ordering_key
        if part and (len(part) == 1000 or size > 9_000_000 or other):
            yield part
            part, size = [], len(message.data)
        part.append(message)
    if part:
        yield part
