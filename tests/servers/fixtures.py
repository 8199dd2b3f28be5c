"""pytest fixtures of the real servers; each skips with a reason where it cannot be provisioned."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.servers.apache_kafka import KafkaCluster
from tests.servers.cache import Unavailable
from tests.servers.kafka_security import KafkaSecurity
from tests.servers.object_stores import GcsServer, S3Server
from tests.servers.prism import prism_binary
from tests.servers.pubsub import PubSubServer
from tests.servers.schema_registry import SchemaRegistryServer

T = TypeVar("T")


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One Apache Kafka broker for the whole session; leave it running when you are done."""
    with _made(lambda: KafkaCluster(tmp_path_factory.mktemp("apache-kafka"))) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def apache_kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three Apache Kafka brokers; whoever kills one starts it again."""
    folder = tmp_path_factory.mktemp("apache-kafka-cluster")
    with _made(lambda: KafkaCluster(folder, brokers=3)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def secured_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One Apache Kafka broker with TLS and SASL listeners; see `client_settings`."""
    folder = tmp_path_factory.mktemp("secured-kafka")
    security = KafkaSecurity.create(folder / "certificates")
    with _made(lambda: KafkaCluster(folder, security=security)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One S3 for the session; each test makes buckets of its own."""
    with _made(lambda: S3Server(tmp_path_factory.mktemp("s3"))) as server:
        yield server


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    """One Google Cloud Storage for the session; each test makes buckets of its own."""
    with _made(lambda: GcsServer(tmp_path_factory.mktemp("gcs"))) as server:
        yield server


@pytest.fixture(scope="session")
def prism() -> Path:
    """The Prism binary of the installed Beam, for `--prism_location`."""
    try:
        return prism_binary()
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def pubsub() -> Iterator[PubSubServer]:
    """One fake Pub/Sub for the whole session; leave it running when you are done."""
    try:
        server = PubSubServer()
    except Unavailable as reason:
        pytest.skip(str(reason))
    yield server
    server.close()


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Make a name (of a topic, group or transactional id) that no other test uses."""
    return lambda name: f"{name}-{uuid.uuid4().hex[:8]}"


def _made(make: Callable[[], T]) -> T:
    try:
        return make()
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture
def schema_registry() -> Iterator[SchemaRegistryServer]:
    """A schema registry of one test."""
    with SchemaRegistryServer() as server:
        yield server
