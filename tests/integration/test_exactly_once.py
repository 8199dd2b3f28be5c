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
from tests.servers.apache_kafka import KafkaCluster
from transforms.kafka.consumers import SharedConsumer, close_consumers
from transforms.kafka.encode import KafkaTopic, Outgoing
from transforms.kafka.faults import Fenced, Hole, KafkaFailure
from transforms.kafka.read import KafkaSource, forget_readers
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.transactions import ShardedGroup, ShardTransactions, close_transactions
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
def shard(topics: Topics, number: int = 0, shards: int = 1) -> Iterator[ShardTransactions]:
    """The transactions of a shard, taken over, with partition 0 of the source at its start."""
    settings = KafkaSettings.of(topics.servers)
    consumer = SharedConsumer(settings, topics.group, "read_committed")
    names = [f"{topics.news}:{k}/{shards}" for k in range(shards)]
    group = ShardedGroup(settings, topics.group, names, "run")
    transactions = ShardTransactions(group, names[number], consumer)
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
        with pytest.raises(Hole, match=r"-0@2 came twice"):
            transactions.commit([outgoing(kafka, 2), outgoing(kafka, 2)])
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


def test_whoever_starts_at_the_same_time_with_other_shards_is_seen(kafka: Topics) -> None:
    """Neither saw the other's first shard when it looked first; the later one does."""
    with shard(kafka, 0, 2) as ours, shard(kafka, 0, 3) as theirs, shard(kafka, 1, 2):
        for fenced in (ours, theirs):
            with pytest.raises(Fenced, match="another instance has taken over shard"):
                fenced.commit([outgoing(kafka, 0)])
    assert values(kafka) == []


def test_who_was_away_does_not_fence_the_one_who_has_gone_on(
    kafka: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shard(kafka) as first, shard(kafka) as second:
        second.commit([outgoing(kafka, 0), outgoing(kafka, 1)])
        # As if the first one had hung in its commit for so long.
        monkeypatch.setattr("transforms.kafka.transactions.TRANSACTION_TIMEOUT", -1.0)
        with pytest.raises(Fenced, match=r"another instance has committed .* up to 2"):
            first.commit([outgoing(kafka, 0)])
        monkeypatch.undo()
        second.commit([outgoing(kafka, 2)])
    assert values(kafka) == [b"0", b"1", b"2"]


def test_what_an_earlier_run_has_committed_is_no_commit_of_ours(kafka: Topics) -> None:
    tp = TopicPartition(kafka.news, 0)
    with shard(kafka) as earlier:
        earlier.commit([outgoing(kafka, 0), outgoing(kafka, 1)])
    with shard(kafka) as again:
        again.move_to({tp: 0})
        assert again._consumer.committed([tp]) == {tp: 0}
        # The commit fails before it has begun, so these two are not written yet.
        assert again._producer is not None
        again._producer.close()
        again.commit([outgoing(kafka, 0), outgoing(kafka, 1)])
    assert values(kafka) == [b"0", b"0", b"1", b"1"]


def read_to(source: KafkaSource, end: int) -> list[bytes | None]:
    """What is read of partition 0 before an offset, and handed over, by a process of its own."""
    source = source.ending_at({TopicPartition(source.topics[0], 0): end})
    reader = source.reader(source.shards()[0])
    reader.resume(None)
    read: list[bytes | None] = []
    try:
        while not reader.at_end():
            batch = reader.poll(0.5, 100)
            read += [message.value for message in batch.messages]
        if commit := reader.commit(batch.position):
            commit()
    finally:
        close_transactions()
        close_consumers()
        forget_readers()
    return read


def test_a_run_that_begins_anew_goes_on_from_what_it_has_committed(kafka: Topics) -> None:
    """As when a worker is lost before its runner's first checkpoint."""
    values = [message.value for message in short(8)]
    kafka.produce(short(8), partition=0)
    settings = KafkaSettings.of(kafka.servers)
    run, later_run = (
        KafkaSource(settings, [kafka.news], kafka.group, start="earliest", shards=1)
        for _ in range(2)
    )
    assert read_to(run, 5) == values[:5]
    assert read_to(run, 8) == values[5:]
    assert read_to(later_run, 8) == values


def test_a_deleted_topic_ends_it(
    kafka: Topics, apache_kafka: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transforms.kafka.producers.STEP_TIMEOUT", 1.0)
    monkeypatch.setattr("transforms.kafka.transactions.STEP_TIMEOUT", 1.0)
    monkeypatch.setattr("transforms.kafka.topics.DELETED_AFTER", 0.0)
    monkeypatch.setenv("NEWSBEAM_KAFKA_MAX_BLOCK_MS", "10000")  # a new producer needs some time
    with shard(kafka) as transactions:
        transactions.commit([outgoing(kafka, 0)])
        apache_kafka.delete_topic(kafka.out)
        with pytest.raises(KafkaFailure, match=f"topic '{kafka.out}' is gone"):
            transactions.commit([outgoing(kafka, 1)])
