"""Exactly once on Apache Kafka: through-put, kill -9, and what a reader must not see or skip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from tests.integration.harness import (
    Topics,
    assert_each_once,
    mixed,
    read_topic,
    running,
    short,
    succeeded,
)
from transforms.kafka.consumers import SharedConsumer
from transforms.kafka.encode import KafkaTopic, Outgoing
from transforms.kafka.faults import Hole
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.transactions import ShardTransactions
from transforms.records import KafkaPosition, Message


def test_news_and_poison_come_out_once_each_and_whole(kafka: Topics) -> None:
    sent = kafka.produce(mixed(300))
    done = succeeded(*kafka.args("--stop_at_end"), anew=True)
    assert (
        "delivery exactly once: source, sink and dead letters are one Kafka cluster" in done.stderr
    )
    assert_each_once(sent, kafka)
    # The offsets were committed with them.
    partitions = [TopicPartition(kafka.news, p) for p in range(4)]
    consumer = KafkaConsumer(bootstrap_servers=kafka.servers, group_id=kafka.group)
    ends = consumer.end_offsets(partitions)
    committed = {tp: consumer.committed(tp) or 0 for tp in partitions}
    consumer.close()
    assert committed == ends


@pytest.mark.parametrize("flags", [(), ("--shards", "1")], ids=["shards", "one shard"])
def test_kill_9_loses_and_doubles_nothing(
    kafka: Topics, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    sent = kafka.produce(short(3_000))
    with running(kafka.args(*flags), tmp_path) as process:
        process.wait_for(lambda: kafka.count() > 0, "first outcomes")
        process.signal(SIGKILL)
        process.wait()
    succeeded(*kafka.args("--stop_at_end", *flags))
    assert_each_once(sent, kafka)


def test_at_least_once_by_choice_loses_nothing(kafka: Topics, tmp_path: Path) -> None:
    sent = kafka.produce(short(1_000))
    flags = ("--delivery", "at_least_once")
    with running(kafka.args(*flags), tmp_path) as process:
        process.wait_for(lambda: kafka.count() > 0, "first outcomes")
        process.signal(SIGKILL)
        process.wait()
    succeeded(*kafka.args("--stop_at_end", *flags))
    assert {got.source for got in kafka.outcomes()[0]} == sent.keys()


def test_news_of_transactions_is_read_when_committed(kafka: Topics, tmp_path: Path) -> None:
    """Markers and aborted records leave gaps in the offsets; they are no holes."""
    producer = KafkaProducer(bootstrap_servers=kafka.servers, transactional_id=f"{kafka.news}-tx")
    producer.init_transactions()
    for n in range(6):
        producer.begin_transaction()
        for message in short(5, 5 * n):
            producer.send(kafka.news, message.value, message.key, partition=0).get()
        (producer.abort_transaction if n % 2 else producer.commit_transaction)()
    producer.close()
    committed = read_topic(kafka.servers, kafka.news)
    assert len(committed) == 15
    sent = {got.place: m for got in committed for m in short(30) if m.value == got.value}
    succeeded(*kafka.args("--stop_at_end"))
    assert_each_once(sent, kafka)
    sent |= kafka.produce(short(5, 30), partition=0)
    succeeded(*kafka.args("--stop_at_end"))
    assert_each_once(sent, kafka)


@contextmanager
def shard(topics: Topics) -> Iterator[ShardTransactions]:
    """The transactions of a shard that owns the source's partition 0, taken over at its start."""
    settings = KafkaSettings.of(topics.servers)
    consumer = SharedConsumer(settings, topics.group, "read_committed")
    transactions = ShardTransactions(settings, topics.group, f"{topics.news}:0/1", consumer)
    try:
        transactions.take_over()
        transactions.start_at({TopicPartition(topics.news, 0): 0})
        yield transactions
    finally:
        transactions.close()
        consumer.close()


def outgoing(topics: Topics, offset: int, follows: int | None = None) -> Outgoing:
    """The outcome of the message at an offset of partition 0."""
    source = KafkaPosition(topics.news, 0, offset)
    message = Message(b"{}", source=source, follows=offset if follows is None else follows)
    topic = KafkaTopic(KafkaSettings.of(topics.servers), topics.out)
    return Outgoing(topic, b"%d" % offset, None, (), None, message)


def values(topics: Topics) -> list[bytes | None]:
    """What the sink holds, in order."""
    return sorted((got.value for got in read_topic(topics.servers, topics.out)), key=str)


def test_a_hole_is_refused(kafka: Topics) -> None:
    with shard(kafka) as transactions:
        transactions.commit([outgoing(kafka, 0), outgoing(kafka, 1)])
        with pytest.raises(Hole, match=r"committed up to 2, but the next record follows 3"):
            transactions.commit([outgoing(kafka, 3)])
        with pytest.raises(Hole, match=r"committed up to 3, but the next record follows 4"):
            transactions.commit([outgoing(kafka, 2), outgoing(kafka, 4)])
        with pytest.raises(Hole, match=r"committed up to 2, but the next record follows 1"):
            transactions.commit([outgoing(kafka, 1)])
        assert values(kafka) == [b"0", b"1"]
        # A gap that the reader knows of is none; in any order, the bundle being whole.
        transactions.commit([outgoing(kafka, 9, follows=5), outgoing(kafka, 4, follows=2)])
    assert values(kafka) == [b"0", b"1", b"4", b"9"]


def test_the_next_one_sees_nothing_that_was_left_open(
    kafka: Topics, unique: Callable[[str], str]
) -> None:
    with shard(kafka) as first:
        first.commit([outgoing(kafka, 0)])
        producer = first._producer
        assert producer is not None
        producer.begin_transaction()
        producer.send(kafka.out, b"left open").get()
        with shard(kafka) as second:
            committed = second._consumer.committed([TopicPartition(kafka.news, 0)])
            assert committed == {TopicPartition(kafka.news, 0): 1}
            second.start_at(committed)
            second.commit([outgoing(kafka, 1)])
    assert values(kafka) == [b"0", b"1"]
