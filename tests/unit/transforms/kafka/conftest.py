"""Kafka clients live as long as their process: here, as long as a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.demo.broker import EmbeddedBroker
from transforms.kafka.consumers import close_consumers
from transforms.kafka.producers import close_producers
from transforms.kafka.read import forget_readers
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.transactions import close_transactions


@pytest.fixture(autouse=True)
def _closed_clients() -> Iterator[None]:
    yield
    close_clients()


def close_clients() -> None:
    """What a process that ends does."""
    close_transactions()
    close_producers()
    close_consumers()
    forget_readers()


@pytest.fixture
def settings(embedded_broker: EmbeddedBroker) -> KafkaSettings:
    """How to reach the embedded broker."""
    return KafkaSettings.of(embedded_broker.bootstrap_servers, environment={})
