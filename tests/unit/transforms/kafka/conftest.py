"""Kafka clients live as long as their process: here, as long as a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.demo.broker import EmbeddedBroker
from transforms.kafka.producers import close_producers
from transforms.kafka.session import close_sessions
from transforms.kafka.settings import KafkaSettings


@pytest.fixture(autouse=True)
def _closed_clients() -> Iterator[None]:
    yield
    close_clients()


def close_clients() -> None:
    """What a process that ends does."""
    close_sessions()
    close_producers()


@pytest.fixture
def settings(embedded_broker: EmbeddedBroker) -> KafkaSettings:
    """How to reach the embedded broker."""
    return KafkaSettings.of(embedded_broker.bootstrap_servers, environment={})


def fill(settings: KafkaSettings, topic: str, counts: dict[int, int]) -> None:
    """Produces `<partition>:<offset>` values into each partition."""
    producer = settings.producer(acks="all")
    for partition, count in counts.items():
        for i in range(count):
            producer.send(topic, b"%d:%d" % (partition, i), partition=partition)
    producer.flush()
    producer.close()
