"""What clusters and topics may have that is odd, on a real broker: nothing ends a run without need."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing

import pytest
from kafka import KafkaConsumer

from tests.integration.harness import (
    Sent,
    Topics,
    finished,
    produce,
    refused,
    short,
    succeeded,
)
from tests.servers.apache_kafka import KafkaCluster
from tests.servers.processes import wait_until
from tests.unit.transforms.kafka.test_unreadable import OddName

DELIVERIES = pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])


def spelt(topics: Topics) -> str:
    """The same servers by another name."""
    assert "127.0.0.1" in topics.servers
    return topics.servers.replace("127.0.0.1", "localhost")


def test_one_cluster_by_two_names_is_one(kafka: Topics) -> None:
    kafka.produce(short(3))
    other = f"kafka://{spelt(kafka)}"
    ends = ["--source", f"kafka://{kafka.servers}/{kafka.news}?group={kafka.group}"]
    sinks = ["--sink", f"{other}/{kafka.out}", "--dead_letters", f"{other}/{kafka.dead}"]
    done = succeeded("run", *ends, *sinks, "--stop_at_end")
    assert "source, sink and dead letters are one Kafka cluster" in done.stderr
    assert kafka.count() == 3
    line = refused("run", *ends, "--sink", f"{other}/{kafka.news}")
    assert "is also the source" in line
    assert "is also the sink" in refused(
        "run",
        *ends,
        *("--sink", f"{other}/{kafka.out}"),
        *("--dead_letters", f"kafka://{kafka.servers}/{kafka.out}"),
    )


def test_a_group_that_somebody_subscribes_with_is_refused(kafka: Topics) -> None:
    with closing(
        KafkaConsumer(
            kafka.news,
            bootstrap_servers=kafka.servers,
            group_id=kafka.group,
            client_id="somebody",
            # The broker it asks first may not have heard of the topic yet.
            metadata_max_age_ms=500,
        )
    ) as consumer:
        wait_until(lambda: consumer.poll(200) is not None and consumer.assignment(), "a member")
        line = refused(*kafka.args("--delivery", "at_least_once"))
    assert f"group '{kafka.group}'" in line
    assert "somebody at 127.0.0.1" in line
    assert "?group=" in line


@DELIVERIES
def test_a_record_without_a_key_for_a_compacted_sink(
    kafka: Topics, apache_kafka: KafkaCluster, unique: Callable[[str], str], delivery: str
) -> None:
    compacted = kafka._replace(out=unique("compacted"), dead=unique("compacted-dead"))
    for topic in (compacted.out, compacted.dead):
        apache_kafka.create_topic(topic, 1, {"cleanup.policy": "compact"})
    sent = kafka.produce([*short(3), Sent(b'{"title": "No key"}')], partition=0)
    done = succeeded(*compacted.args("--stop_at_end", "--delivery", delivery))
    assert f"--sink: topic {compacted.out} is compacted" in done.stderr
    assert f"--dead_letters: topic {compacted.dead} is compacted" in done.stderr
    assert "3 categorized" in done.stderr
    categorized, [dead] = compacted.outcomes()
    assert {got.source for got in (*categorized, dead)} == sent.keys()
    assert dead.value == b'{"title": "No key"}'
    assert dead.key == dead.source.encode()
    assert b"takes no record without a key" in dict(dead.headers)["newsbeam.error"]


@DELIVERIES
@pytest.mark.parametrize("compression", ["gzip", None])
def test_a_record_that_came_in_compressed(
    kafka: Topics, delivery: str, compression: str | None
) -> None:
    large = json.dumps({"id": "large", "title": "Stocks fell", "extra": "news " * 480_000}).encode()
    broken = b"{" + large
    sent = produce(
        kafka.servers,
        kafka.news,
        [Sent(large, b"large"), Sent(broken, b"broken"), *short(3)],
        compression_type="gzip",
    )
    query = f"&compression_type={compression}" if compression else ""
    args = kafka.args("--stop_at_end", "--delivery", delivery, source_query=query)
    if compression:
        args = [a + f"?compression_type={compression}" if a.endswith((kafka.out, kafka.dead)) else a
                for a in args]  # fmt: skip
    done = succeeded(*args)
    assert "5 records" in done.stderr
    assert "4 categorized" in done.stderr
    categorized, [dead] = kafka.outcomes()
    assert {got.source for got in (*categorized, dead)} == sent.keys()
    assert dead.value == broken


@DELIVERIES
def test_what_a_broker_refuses_is_a_dead_letter_alone(
    kafka: Topics, apache_kafka: KafkaCluster, unique: Callable[[str], str], delivery: str
) -> None:
    # The broker unpacks what comes, and only then finds it too large.
    plain = kafka._replace(out=unique("plain"))
    apache_kafka.create_topic(plain.out, 2, {"compression.type": "uncompressed"})
    large = json.dumps({"id": "large", "title": "Stocks fell", "extra": "news " * 480_000}).encode()
    sent = produce(
        plain.servers,
        plain.news,
        [*short(20), Sent(large, b"large"), *short(1000, 20)],
        partition=0,
        compression_type="gzip",
    )
    succeeded(*plain.args("--stop_at_end", "--delivery", delivery))
    categorized, [dead] = plain.outcomes()
    assert len(categorized) == 1020
    assert {got.source for got in (*categorized, dead)} == sent.keys()
    assert dead.value == large
    assert b"does not take it" in dict(dead.headers)["newsbeam.error"]


@DELIVERIES
def test_a_header_name_that_is_not_utf_8(kafka: Topics, delivery: str) -> None:
    odd = Sent(b'{"title": "Odd"}', b"odd", (("good", b"1"), (OddName("x"), b"2")))
    sent = kafka.produce([*short(3), odd, *short(3, 3)], partition=0)
    succeeded(*kafka.args("--stop_at_end", "--delivery", delivery))
    categorized, [dead] = kafka.outcomes()
    assert {got.source for got in (*categorized, dead)} == sent.keys()
    assert (dead.value, dead.key) == (odd.value, odd.key)
    assert dead.headers[:2] == (("good", b"1"), ("caf\\xe9", b"2"))
    error = dict(dead.headers)["newsbeam.error"].decode()
    assert dead.source in error
    assert "UTF-8" in error
    done = finished("consume", f"kafka://{kafka.servers}/{kafka.news}")
    assert done.code == 0
    assert f"{dead.source} can't be read" in done.stderr
