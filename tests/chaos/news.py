"""The input of a run: sample news with poison in it under unique keys, and the thread that sends it."""

from __future__ import annotations

import abc
import itertools
import json
import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kafka import KafkaProducer

from pipeline.demo.poison import POISON
from pipeline.demo.traffic import sample_news
from tests.servers.pubsub import PubSubServer

#: One message of this many is poison.
POISON_EVERY = 50
#: Larger poison would be most of the traffic, in bytes.
LARGEST_POISON = 10_000
#: Messages that are sent at a time, at most.
AT_ONCE = 500


class Input(NamedTuple):
    """A message to be produced; its key is its id. Where `partition` is None, the key names it, too."""

    key: bytes
    value: bytes
    poison: bool
    partition: int | None = None


def messages(rng: random.Random, hot: float = 0.0) -> Iterator[Input]:
    """Makes news and poison with keys of their own, without end.

    Args:
        rng: Says where the poison is, and which.
        hot: The share of the messages that go to the first partition, whatever their key.
    """
    news = [json.loads(message.value) for message in sample_news()]
    poison = [
        p.value for p in POISON if p.expected == "dead_letter" and len(p.value) <= LARGEST_POISON
    ]
    for i in itertools.count():
        key = f"chaos-{i:07}"
        partition = 0 if rng.random() < hot else None
        if rng.randrange(POISON_EVERY) == 0:
            yield Input(key.encode(), rng.choice(poison), True, partition)
        else:
            item = {**news[i % len(news)], "id": key}
            yield Input(key.encode(), json.dumps(item).encode(), False, partition)


class Feeder(abc.ABC):
    """Sends messages from a thread of its own, as far as it was told to go.

    Args:
        inputs: The messages.
    """

    def __init__(self, inputs: Iterator[Input]) -> None:
        self._inputs = inputs
        self._turn = threading.Condition()
        self._limit = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="chaos-feeder", daemon=True)
        #: What was handed to the producer.
        self.sent: list[Input] = []
        #: What went wrong, if anything did.
        self.error: BaseException | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def go_to(self, count: int) -> None:
        """Lets messages go until so many are sent."""
        with self._turn:
            self._limit = max(count, self._limit)
            self._turn.notify()

    @property
    def limit(self) -> int:
        """How many messages were let go: the last of them may not be sent yet."""
        return self._limit

    def close(self) -> None:
        """Ends the thread, once the broker has what was sent."""
        with self._turn:
            self._closed = True
            self._turn.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._open()
            while True:
                with self._turn:
                    self._turn.wait_for(lambda: self._closed or len(self.sent) < self._limit)
                    if self._closed:
                        break
                    count = self._limit - len(self.sent)
                messages = list(itertools.islice(self._inputs, min(count, AT_ONCE)))
                self._send(messages)
                self.sent += messages
            self._flush()
        except Exception as e:
            self.error = e

    def _open(self) -> None:  # noqa: B027 - Pub/Sub's need not
        """Connects."""

    @abc.abstractmethod
    def _send(self, messages: Sequence[Input]) -> None:
        """Sends messages."""

    def _flush(self) -> None:  # noqa: B027 - Pub/Sub's need not
        """Waits until the server has what was sent."""


class KafkaFeeder(Feeder):
    """Produces to a topic of Kafka.

    Args:
        servers: Where the brokers are.
        topic: Where to.
        inputs: The messages.
    """

    def __init__(self, servers: str, topic: str, inputs: Iterator[Input]) -> None:
        super().__init__(inputs)
        self._servers = servers
        self._topic = topic
        self._futures: list[Any] = []

    def _open(self) -> None:
        self._producer = KafkaProducer(
            bootstrap_servers=self._servers,
            acks="all",
            linger_ms=5,
            # A paused or restarted broker is waited for, however slow the machine.
            delivery_timeout_ms=600_000,
            max_block_ms=600_000,
            reconnect_backoff_max_ms=1_000,
        )

    def _send(self, messages: Sequence[Input]) -> None:
        for m in messages:
            future = self._producer.send(self._topic, m.value, m.key, partition=m.partition)
            self._futures.append(future)

    def _flush(self) -> None:
        self._producer.flush()
        for future in self._futures:
            future.get()
        self._producer.close()


class PubSubFeeder(Feeder):
    """Publishes to a topic of Pub/Sub, with the keys as attributes.

    Args:
        server: The fake.
        topic: Where to.
        attribute: The name of the attribute.
        inputs: The messages.
    """

    def __init__(
        self, server: PubSubServer, topic: str, attribute: str, inputs: Iterator[Input]
    ) -> None:
        super().__init__(inputs)
        self._server, self._topic, self._attribute = server, topic, attribute

    def _send(self, messages: Sequence[Input]) -> None:
        keys = [{self._attribute: m.key.decode()} for m in messages]
        self._server.publish(self._topic, [m.value for m in messages], keys.__getitem__)
