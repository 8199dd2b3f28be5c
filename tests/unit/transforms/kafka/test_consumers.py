"""The consumer that shards share: what each takes, and what stays for the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kafka import TopicPartition

from tests.servers.apache_kafka import KafkaCluster
from transforms.kafka.consumers import SharedConsumer, close_consumers, shared_consumer
from transforms.kafka.settings import KafkaSettings


def fill(settings: KafkaSettings, topic: str, counts: dict[int, int]) -> None:
    """Produces `<partition>:<offset>` values into each partition."""
    producer = settings.producer(acks="all")
    for partition, count in counts.items():
        for i in range(count):
            producer.send(topic, b"%d:%d" % (partition, i), partition=partition)
    producer.flush()
    producer.close()


@pytest.fixture
def topic(settings: KafkaSettings, topics: Callable[..., str]) -> str:
    name = topics("news", partitions=2)
    fill(settings, name, {0: 30, 1: 5})
    return name


@pytest.fixture
def consumer(settings: KafkaSettings, unique: Callable[[str], str]) -> SharedConsumer:
    return shared_consumer(settings, unique("group"), "read_committed")


def take(
    consumer: SharedConsumer, tps: list[TopicPartition], count: int, limit: int = 100
) -> list[Any]:
    """Takes until so many records have come."""
    found: list[Any] = []
    while len(found) < count:
        taken = consumer.take(tps, 5.0, min(limit, count - len(found)))
        assert taken.keys() <= set(tps)
        found += [record for records in taken.values() for record in records]
    return found


def test_partitions(consumer: SharedConsumer, topic: str) -> None:
    assert consumer.partitions([topic]) == [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    assert consumer.partitions(["there-is-no-such-topic"]) == []


def test_each_shard_takes_its_own_in_order(consumer: SharedConsumer, topic: str) -> None:
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    consumer.seek({first: 0})
    consumer.seek({second: 0})
    values = [record.value for record in take(consumer, [first], 30, limit=7)]
    assert values == [b"0:%d" % i for i in range(30)]
    assert [record.value for record in take(consumer, [second], 5)] == [
        b"1:%d" % i for i in range(5)
    ]
    assert consumer.take([first, second], 0.0, 10) == {}


def test_no_more_than_the_limit_is_taken(consumer: SharedConsumer, topic: str) -> None:
    both = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    consumer.seek(dict.fromkeys(both, 0))
    taken = 0
    while taken < 35:
        now = sum(map(len, consumer.take(both, 5.0, 4).values()))
        assert now <= 4
        taken += now
    assert taken == 35


def test_a_seek_goes_back_or_forward(consumer: SharedConsumer, topic: str) -> None:
    tp = TopicPartition(topic, 0)
    consumer.seek({tp: 0})
    take(consumer, [tp], 3)
    for offset in (10, 0, 25):
        consumer.seek({tp: offset})
        assert take(consumer, [tp], 1)[0].offset == offset


def test_position_and_backlog(consumer: SharedConsumer, topic: str) -> None:
    tp = TopicPartition(topic, 0)
    consumer.seek({tp: 0})
    take(consumer, [tp], 10)
    assert consumer.position(tp) == 10
    assert consumer.backlog(tp, 10) == 20
    assert consumer.backlog(tp, 30) == 0


def test_committed_offsets_outlive_the_consumer(
    settings: KafkaSettings, topic: str, unique: Callable[[str], str]
) -> None:
    group = unique("group")
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    consumer = shared_consumer(settings, group, "read_committed")
    assert consumer.committed([first, second]) == {}
    consumer.commit({first: 12})
    close_consumers()
    again = shared_consumer(settings, group, "read_committed")
    assert again is not consumer
    assert again.committed([first, second]) == {first: 12}


def test_the_beginning(consumer: SharedConsumer, topic: str) -> None:
    both = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    assert consumer.beginning(both) == dict.fromkeys(both, 0)
    assert consumer.beginning([]) == {}


def test_a_time(apache_kafka: KafkaCluster, unique: Callable[[str], str]) -> None:
    # The embedded broker looks up when records came, not the times they carry.
    settings = KafkaSettings.of(apache_kafka.bootstrap_servers, environment={})
    topic = unique("timed")
    apache_kafka.create_topic(topic)
    tp = TopicPartition(topic, 0)
    producer = settings.producer(acks="all")
    for i in range(3):
        producer.send(topic, b"%d" % i, timestamp_ms=1_600_000_000_000 + i * 1000).get()
    producer.close()
    consumer = shared_consumer(settings, unique("group"), "read_committed")
    for ms, offset in ((0, 0), (1_600_000_000_001, 1), (1_600_000_002_000, 2), (2**41, 3)):
        assert consumer.at_time([tp], ms) == {tp: offset}


def test_a_process_has_one_consumer_a_cluster_and_group(settings: KafkaSettings) -> None:
    one = shared_consumer(settings, "a", "read_committed")
    assert shared_consumer(settings, "a", "read_committed") is one
    assert shared_consumer(settings, "b", "read_committed") is not one
