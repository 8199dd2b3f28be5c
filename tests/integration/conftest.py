"""Three topics of their own for each test: on the embedded broker, on Apache Kafka, on three brokers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.register_assert_rewrite("tests.integration.harness", "tests.integration.ends")

from pipeline.demo.broker import EmbeddedBroker  # noqa: E402
from tests.integration.harness import Topics, make_topics  # noqa: E402
from tests.servers.apache_kafka import KafkaCluster  # noqa: E402


@pytest.fixture
def embedded(embedded_broker: EmbeddedBroker, unique: Callable[[str], str]) -> Topics:
    """Source, sink and dead letters on the embedded broker."""
    return make_topics(
        lambda name, n: embedded_broker.create_topics({name: n}),
        embedded_broker.bootstrap_servers,
        unique,
    )


@pytest.fixture
def kafka(apache_kafka: KafkaCluster, unique: Callable[[str], str]) -> Topics:
    """Source, sink and dead letters on Apache Kafka."""
    return make_topics(apache_kafka.create_topic, apache_kafka.bootstrap_servers, unique)


@pytest.fixture
def replicated(apache_kafka_cluster: KafkaCluster, unique: Callable[[str], str]) -> Topics:
    """Source, sink and dead letters on three brokers of Apache Kafka, three replicas each."""
    cluster = apache_kafka_cluster
    return make_topics(cluster.create_topic, cluster.bootstrap_servers, unique)
