"""The input of a run: sample news with poison in it under unique keys, and the thread that sends it."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections.abc import Iterator
from typing import NamedTuple

from kafka import KafkaProducer

from pipeline.demo.poison import POISON
from pipeline.demo.traffic import sample_news

#: One message of this many is poison.
POISON_EVERY = 50
#: Larger poison would be most of the traffic, in bytes.
LARGEST_POISON = 10_000


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


class Feeder:
    """Produces messages from a thread of its own, as far as it was told to go.

    Args:
        servers: Where the brokers are.
        topic: Where to.
        inputs: What.
    """

    def __init__(self, servers: str, topic: str, inputs: Iterator[Input]) -> None:
        self._servers = servers
        self._topic = topic
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
            producer = KafkaProducer(
                bootstrap_servers=self._servers,
                acks="all",
                linger_ms=5,
                # A paused or restarted broker is waited for, however slow the machine.
                delivery_timeout_ms=600_000,
                max_block_ms=600_000,
                reconnect_backoff_max_ms=1_000,
            )
            futures = []
            while True:
                with self._turn:
                    self._turn.wait_for(lambda: self._closed or len(self.sent) < self._limit)
                    if self._closed:
                        break
                    count = self._limit - len(self.sent)
                for message in itertools.islice(self._inputs, count):
                    self.sent.append(message)
                    futures.append(
                        producer.send(
                            self._topic, message.value, message.key, partition=message.partition
                        )
                    )
            producer.flush()
            for future in futures:
                future.get()
            producer.close()
        except Exception as e:
            self.error = e
