"""Offsets that brokers know: ends, beginnings, times, and where a group stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from kafka import TopicPartition
from kafka.errors import UnknownTopicOrPartitionError

from tests.servers.apache_kafka import KafkaCluster
from tests.servers.processes import wait_until
from tests.unit.transforms.kafka.conftest import fill
from transforms.kafka.ends import EndsWatch
from transforms.kafka.offsets import OffsetsClient
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.topics import MissingTopics


@pytest.fixture
def settings(apache_kafka: KafkaCluster) -> KafkaSettings:
    """The embedded broker has ends and times of its own kind."""
    return KafkaSettings.of(apache_kafka.bootstrap_servers, environment={})


@pytest.fixture
def offsets(settings: KafkaSettings, unique: Callable[[str], str]) -> Iterator[OffsetsClient]:
    client = OffsetsClient(settings, unique("group"), "read_committed")
    yield client
    client.close()


@pytest.fixture
def topic(apache_kafka: KafkaCluster, settings: KafkaSettings, unique: Callable[[str], str]) -> str:
    name = apache_kafka.create_topic(unique("news"), 2)
    fill(settings, name, {0: 30, 1: 5})
    return name


def test_a_look_tells_where_all_partitions_end(
    apache_kafka: KafkaCluster, offsets: OffsetsClient, topic: str, unique: Callable[[str], str]
) -> None:
    other = apache_kafka.create_topic(unique("other"), 1)
    before = time.time()
    look = offsets.look([topic, other])
    assert before <= look.asked <= time.time()
    assert look.ends == {
        TopicPartition(topic, 0): 30,
        TopicPartition(topic, 1): 5,
        TopicPartition(other, 0): 0,
    }
    apache_kafka.add_partitions(topic, 3)
    assert offsets.look([topic]).ends[TopicPartition(topic, 2)] == 0


def test_records_of_an_open_transaction_count(
    settings: KafkaSettings, offsets: OffsetsClient, topic: str, unique: Callable[[str], str]
) -> None:
    tp = TopicPartition(topic, 1)
    producer = settings.producer(transactional_id=unique("id"))
    try:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic, b"open", partition=1).get()
        assert offsets.look([topic]).ends[tp] == 6
        # A reader of committed records can't have it yet: for it, this is not the end.
        assert offsets.at_time([tp], 2**41) == {tp: 5}
        producer.abort_transaction()
    finally:
        producer.close()


def test_a_topic_that_is_not_there(offsets: OffsetsClient, topic: str) -> None:
    with pytest.raises(UnknownTopicOrPartitionError, match="there-is-no-such-topic"):
        offsets.look([topic, "there-is-no-such-topic"])
    with pytest.raises(UnknownTopicOrPartitionError):
        offsets.beginning([TopicPartition("there-is-no-such-topic", 0)])


def test_the_beginning(apache_kafka: KafkaCluster, offsets: OffsetsClient, topic: str) -> None:
    both = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    assert offsets.beginning(both) == dict.fromkeys(both, 0)
    assert offsets.beginning([]) == {}
    with apache_kafka.admin() as admin:
        admin.delete_records({both[0]: 12})
    assert offsets.beginning(both) == {both[0]: 12, both[1]: 0}


def test_a_time(
    apache_kafka: KafkaCluster,
    settings: KafkaSettings,
    offsets: OffsetsClient,
    unique: Callable[[str], str],
) -> None:
    topic = apache_kafka.create_topic(unique("timed"))
    tp = TopicPartition(topic, 0)
    producer = settings.producer(acks="all")
    for i in range(3):
        producer.send(topic, b"%d" % i, timestamp_ms=1_600_000_000_000 + i * 1000).get()
    producer.close()
    for ms, offset in ((0, 0), (1_600_000_000_001, 1), (1_600_000_002_000, 2), (2**41, 3)):
        assert offsets.at_time([tp], ms) == {tp: offset}


def test_committed_offsets_outlive_the_client(settings: KafkaSettings, topic: str) -> None:
    group = f"group-of-{topic}"
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    client = OffsetsClient(settings, group, "read_committed")
    assert client.committed([first, second]) == {}
    client.commit({first: 12}, "one run")
    client.close()
    again = OffsetsClient(settings, group, "read_committed")
    try:
        assert again.committed([first, second]) == {first: 12}
        assert again.committed([first, second], by="one run") == {first: 12}
        assert again.committed([first, second], by="another") == {}
        assert again.committed([]) == {}
    finally:
        again.close()


def test_somebody_looks_every_so_often(
    settings: KafkaSettings, offsets: OffsetsClient, topic: str
) -> None:
    watch = EndsWatch(offsets, [topic], MissingTopics(settings, [topic]))
    tp = TopicPartition(topic, 1)
    try:
        first = watch.latest()
        assert first.ends[tp] == 5
        fill(settings, topic, {1: 3})
        wait_until(lambda: watch.latest().ends[tp] == 8, "another look")
        assert watch.latest().asked > first.asked
    finally:
        watch.close()
