"""Exactly once on Apache Kafka: through-put, kill -9, and what a reader must not see or skip."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param((), id="shards"),
        pytest.param(("--shards", "1"), id="one shard", marks=pytest.mark.long),
    ],
)
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
