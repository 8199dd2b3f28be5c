"""The demo on Kafka: the embedded broker, and kafka-python's clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from pipeline.demo.broker import EmbeddedBroker
from pipeline.demo.bus import CATEGORIZED, DEAD_LETTERS, NEWS, Bus, Outcomes, Outgoing, Producer
from transforms.records import KafkaPosition, Message

#: Topics to partitions.
TOPICS = {NEWS: 4, CATEGORIZED: 1, DEAD_LETTERS: 1}
#: Tansu does not answer a waiting fetch when a record comes, but looks again after a part of this.
FETCH_WAIT_MS = 20


class KafkaBus(Bus):
    """An embedded broker that speaks Kafka's protocol, with the demo's topics."""

    def __init__(self) -> None:
        self._broker = EmbeddedBroker()

    @property
    def servers(self) -> str:
        """Where it listens, as `host:port`."""
        return self._broker.bootstrap_servers

    def start(self) -> None:
        self._broker.start()
        self._broker.create_topics(TOPICS)

    def stop(self) -> None:
        self._broker.stop()

    @property
    def source(self) -> str:
        return f"{self._uri(NEWS)}?group=newsbeam-demo&fetch_max_wait_ms={FETCH_WAIT_MS}"

    @property
    def sink(self) -> str:
        return self._uri(CATEGORIZED)

    @property
    def dead_letters(self) -> str:
        return self._uri(DEAD_LETTERS)

    @property
    def read_along(self) -> str:
        return f"newsbeam consume {self.sink} --follow"

    def _uri(self, topic: str) -> str:
        return f"kafka://{self.servers}/{topic}"

    def refusal(self, message: Outgoing) -> str | None:
        return None

    def producer(self) -> Producer:
        return _KafkaIn(self.servers)

    def outcomes(self) -> Outcomes:
        return _KafkaOut(self.servers)


class _KafkaIn(Producer):
    def __init__(self, servers: str) -> None:
        self._producer = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=0)

    def send(
        self,
        message: Outgoing,
        booked: Callable[[str], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        def answered(answer: Any) -> None:
            booked(str(KafkaPosition(answer.topic, answer.partition, answer.offset)))

        future = self._producer.send(NEWS, key=message.key, value=message.value)
        future.add_callback(answered)
        future.add_errback(failed)

    def flush(self) -> None:
        self._producer.flush()

    def close(self) -> None:
        self._producer.close()


class _KafkaOut(Outcomes):
    def __init__(self, servers: str) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        self._consumer.assign([TopicPartition(t, 0) for t in (CATEGORIZED, DEAD_LETTERS)])

    def poll(self, seconds: float) -> list[Message]:
        polled = self._consumer.poll(round(seconds * 1000))
        return [self._message(record) for records in polled.values() for record in records]

    @staticmethod
    def _message(record: Any) -> Message:
        return Message(
            value=record.value,
            key=record.key,
            headers=tuple(record.headers),
            timestamp=record.timestamp,
            source=KafkaPosition(record.topic, record.partition, record.offset),
        )

    def close(self) -> None:
        self._consumer.close()
