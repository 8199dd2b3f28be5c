"""Reading topics in a pipeline: all of it once, with all that a record carries, and from where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.testing.util import assert_that, equal_to
from kafka import TopicPartition

from tests.unit.running import local_pipeline
from tests.unit.transforms.kafka.conftest import close_clients, fill
from transforms.errors import ConfigurationError
from transforms.kafka.read import KafkaSource, ReadFromKafka
from transforms.kafka.session import session_of
from transforms.kafka.settings import KafkaSettings
from transforms.records import Message

HERE = KafkaSettings("h:1", {})


# ---- the source ------------------------------------------------------------------------------------


def test_shards_name_topics_and_place() -> None:
    source = KafkaSource(HERE, ["b", "a"], shards=3)
    assert source.shards() == ["a+b:0/3", "a+b:1/3", "a+b:2/3"]


def test_the_shard_of_a_partition_is_one_of_the_shards() -> None:
    source = KafkaSource(HERE, ["a", "b"], shards=3)
    found = {source.shard_of(TopicPartition(t, p)) for t in ("a", "b") for p in range(6)}
    assert found == set(source.shards())


def test_a_source_can_be_shipped_and_stopped() -> None:
    end = {TopicPartition("a", 0): 7}
    source = KafkaSource(HERE, ["a"], "g", start="earliest", shards=2)
    stopped = pickler.loads(pickler.dumps(source.ending_at(end)))
    assert stopped.subscription.end == end
    assert source.subscription.end is None
    read = stopped.subscription
    assert (read.topics, read.group, read.start) == (("a",), "g", "earliest")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"shards": 0}, "shards=0"),
        ({"start": "yesterday"}, "yesterday"),
        ({"isolation_level": "dirty"}, "dirty"),
        ({"on_offset_out_of_range": "ignore"}, "ignore"),
        ({"exactly_once": True, "isolation_level": "read_uncommitted"}, "read_committed"),
        ({"max_delay": -1.0}, "max_delay=-1"),
        ({"max_delay": float("inf")}, "max_delay=inf"),
        ({"max_delay": float("nan")}, "max_delay=nan"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        KafkaSource(HERE, ["a"], **settings)


def test_who_delivers_is_said_of_a_copy() -> None:
    source = KafkaSource(HERE, ["a"])
    assert source.delivering(exactly_once=True).subscription.exactly_once
    assert not source.subscription.exactly_once


# ---- in a pipeline ---------------------------------------------------------------------------------


def read(source: KafkaSource, ends: dict[int, int], expected: list[Any]) -> None:
    """Reads to the given ends in a pipeline of its own, as a new process would."""
    [topic] = source.subscription.topics
    source = source.ending_at({TopicPartition(topic, p): end for p, end in ends.items()})
    with local_pipeline() as p:
        values = p | ReadFromKafka(source) | beam.Map(lambda message: message.value)
        assert_that(values, equal_to(expected))
    close_clients()


def values(partition: int, first: int, end: int) -> list[bytes]:
    return [b"%d:%d" % (partition, i) for i in range(first, end)]


def test_all_partitions_are_read_once_and_never_again(
    settings: KafkaSettings, topics: Callable[..., str], unique: Callable[[str], str]
) -> None:
    topic = topics("news", partitions=3)
    fill(settings, topic, {0: 700, 2: 3})
    source = KafkaSource(settings, [topic], unique("group"), shards=2)
    read(source, {0: 700, 2: 3}, values(0, 0, 700) + values(2, 0, 3))
    # What was read has been committed: the next run gives only what has come since.
    fill(settings, topic, {1: 2})
    read(source, {0: 700, 1: 2, 2: 3}, values(1, 0, 2))


@pytest.mark.parametrize(("start", "expected"), [("earliest", (0, 6)), ("committed", (4, 6))])
def test_where_to_begin(
    settings: KafkaSettings,
    topics: Callable[..., str],
    unique: Callable[[str], str],
    start: str,
    expected: tuple[int, int],
) -> None:
    topic, group = topics("news"), unique("group")
    producer = settings.producer(acks="all")
    for i in range(6):
        producer.send(topic, b"0:%d" % i, timestamp_ms=1_600_000_000_000 + i * 1000).get()
    producer.close()
    tp = TopicPartition(topic, 0)
    source = KafkaSource(settings, [topic], group, start=start, shards=1)
    session_of(source.subscription)._offsets.commit({tp: 4})
    close_clients()
    read(source, {0: 6}, values(0, *expected))


def test_the_end_is_where_it_was_said_to_be(
    settings: KafkaSettings, topics: Callable[..., str], unique: Callable[[str], str]
) -> None:
    topic = topics("news")
    fill(settings, topic, {0: 20})
    source = KafkaSource(settings, [topic], unique("group"), shards=1)
    read(source, {0: 12}, values(0, 0, 12))
    read(source, {0: 20}, values(0, 12, 20))


def _carried(message: Message) -> tuple[Any, ...]:
    return message.key, message.headers, message.timestamp, str(message.source), message.follows


def test_key_headers_time_and_place_are_carried(
    settings: KafkaSettings, topics: Callable[..., str], unique: Callable[[str], str]
) -> None:
    topic = topics("news")
    producer = settings.producer(acks="all")
    headers = [("traceparent", b"00-1"), ("a", b""), ("a", b"\xff")]
    producer.send(topic, b"v", key=b"\xff\x00", headers=headers, timestamp_ms=1_600_000_000_000)
    producer.send(topic, b"w").get()
    producer.close()
    source = KafkaSource(settings, [topic], unique("group"), shards=1)
    source = source.ending_at({TopicPartition(topic, 0): 1})
    with local_pipeline() as p:
        carried = p | ReadFromKafka(source) | beam.Map(_carried)
        expected = (b"\xff\x00", tuple(headers), 1_600_000_000_000, f"{topic}-0@0", 0)
        assert_that(carried, equal_to([expected]))
