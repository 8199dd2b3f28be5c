"""Failures of Kafka: those that heal are waited out, those that can't end it with one clear line."""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from tests.integration.harness import (
    DELIVERIES,
    Sent,
    Topics,
    assert_each_once,
    finished,
    running,
    short,
    succeeded,
)
from tests.servers.apache_kafka import KafkaCluster
from tests.servers.processes import wait_until


@DELIVERIES
def test_a_broker_that_was_killed_comes_back(
    kafka: Topics, apache_kafka: KafkaCluster, tmp_path: Path, delivery: str
) -> None:
    sent = kafka.produce(short(100))
    with running(kafka.args("--delivery", delivery), tmp_path) as process:
        process.wait_for(lambda: kafka.count() == 100, "it to work")
        apache_kafka.kill()
        apache_kafka.restart()
        sent |= kafka.produce(short(100, 100))
        process.wait_for(lambda: kafka.count() >= 200, "it to go on")
        process.drain()
    if delivery == "exactly_once":
        assert_each_once(sent, kafka)
    assert {got.source for got in kafka.outcomes()[0]} == sent.keys()


def test_a_broker_killed_while_it_works(
    kafka: Topics, apache_kafka: KafkaCluster, tmp_path: Path
) -> None:
    sent = kafka.produce(short(4_000))
    with running(kafka.args(), tmp_path) as process:
        process.wait_for(lambda: kafka.count() > 0, "first outcomes")
        apache_kafka.kill()
        apache_kafka.restart()
        process.wait_for(lambda: kafka.count() >= 4_000, "it to go on")
        process.drain()
    assert_each_once(sent, kafka)


def test_leaders_change(
    replicated: Topics, apache_kafka_cluster: KafkaCluster, tmp_path: Path
) -> None:
    sent = replicated.produce(short(100))
    with running(replicated.args(), tmp_path) as process:
        process.wait_for(lambda: replicated.count() == 100, "it to work")
        lost = apache_kafka_cluster.leader(replicated.news)
        apache_kafka_cluster.kill(lost)
        try:
            wait_until(
                lambda: apache_kafka_cluster.leader(replicated.news) not in {lost, -1},
                "another broker to lead",
                retry_on=(KafkaError,),
            )
            sent |= replicated.produce(short(100, 100))
            process.wait_for(lambda: replicated.count() == 200, "it to go on with two brokers")
        finally:
            apache_kafka_cluster.restart(lost)
        sent |= replicated.produce(short(50, 200))
        process.wait_for(lambda: replicated.count() == 250, "it to go on with three again")
        process.drain()
    assert_each_once(sent, replicated)


def test_results_too_large_for_their_topic_are_dead_letters(
    kafka: Topics, apache_kafka: KafkaCluster, unique: Callable[[str], str]
) -> None:
    small = kafka._replace(out=unique("small"), dead=unique("larger"))
    apache_kafka.create_topic(small.out, 1, {"max.message.bytes": "2000"})
    apache_kafka.create_topic(small.dead, 1, {"max.message.bytes": "20000"})
    letters = [
        Sent(json.dumps({"id": name, "title": "Stocks fell", "extra": noise(size)}).encode())
        for name, size in (("whole", 5_000), ("cut", 100_000))
    ]
    sent = kafka.produce([*short(10), *letters])
    succeeded(*small.args("--stop_at_end"))
    categorized, dead = small.outcomes()
    assert {got.source for got in (*categorized, *dead)} == sent.keys()
    assert (len(categorized), len(dead)) == (10, 2)
    whole, cut = sorted(dead, key=lambda got: "newsbeam.cut_from_bytes" in dict(got.headers))
    assert whole.value == letters[0].value
    assert cut.value
    assert letters[1].value.startswith(cut.value)
    assert dict(cut.headers)["newsbeam.cut_from_bytes"] == str(len(letters[1].value)).encode()
    for got in dead:
        reasons = {name: value.decode() for name, value in got.headers}
        assert reasons["newsbeam.stage"] == "WriteToKafka"
        assert reasons["newsbeam.error_type"] == "MessageTooLarge"
        assert f"topic {small.out} takes 2000" in reasons["newsbeam.error"]
    assert "newsbeam.cut_from_bytes" not in dict(whole.headers)


@pytest.fixture
def behind(kafka: Topics, apache_kafka: KafkaCluster) -> dict[str, Sent]:
    """The group stands at 10 of 0..49 in partition 1, where all before 40 was deleted since."""
    sent = kafka.produce(short(50), partition=1)
    tp = TopicPartition(kafka.news, 1)
    with closing(KafkaConsumer(bootstrap_servers=kafka.servers, group_id=kafka.group)) as consumer:
        consumer.assign([tp])
        consumer.commit({tp: OffsetAndMetadata(10, "", -1)})
    with closing(apache_kafka.admin()) as admin:
        admin.delete_records({tp: 40})
    return sent


def noise(size: int) -> str:
    """What no codec makes much smaller."""
    return base64.b64encode(random.Random(size).randbytes(size)).decode()


@DELIVERIES
def test_lost_records_end_it_unless_allowed(
    kafka: Topics, behind: dict[str, Sent], delivery: str
) -> None:
    done = finished(*kafka.args("--stop_at_end", "--delivery", delivery))
    assert done.code == 1, done.stderr
    assert "records were deleted before they were read" in done.error
    assert f"{kafka.news}-1 at 10" in done.error
    assert "--on_offset_out_of_range=earliest" in done.error
    assert "Traceback" not in done.stderr
    assert kafka.count() == 0

    go_on = ("--on_offset_out_of_range", "earliest", "--delivery", delivery, "--stop_at_end")
    done = succeeded(*kafka.args(*go_on))
    assert "going on at earliest" in done.stderr
    assert_each_once({place: m for place, m in behind.items() if _offset(place) >= 40}, kafka)
    # And from there on all is as ever.
    sent = kafka.produce(short(5, 50), partition=1)
    succeeded(*kafka.args("--stop_at_end", "--delivery", delivery))
    assert kafka.count() == 10 + len(sent)


@DELIVERIES
def test_a_log_that_was_cut_is_no_end(kafka: Topics, delivery: str) -> None:
    """The group stands behind the end, as when a leader comes back with less than it had."""
    sent = kafka.produce(short(5), partition=1)
    tp = TopicPartition(kafka.news, 1)
    with closing(KafkaConsumer(bootstrap_servers=kafka.servers, group_id=kafka.group)) as consumer:
        consumer.assign([tp])
        consumer.commit({tp: OffsetAndMetadata(50, "", -1)})
    flags = ("--stop_at_end", "--delivery", delivery)
    done = finished(*kafka.args(*flags))
    assert done.code == 1, done.stderr
    assert f"{kafka.news}-1 at 50" in done.error
    succeeded(*kafka.args(*flags, "--on_offset_out_of_range", "earliest"))
    sent |= kafka.produce(short(3, 5), partition=1)
    succeeded(*kafka.args(*flags))
    assert_each_once(sent, kafka)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("full", ["--dead_letters", "--sink"])
def test_a_full_disk_loses_nothing(kafka: Topics, tmp_path: Path, full: str) -> None:
    """One end is Kafka, the other a file: offsets are committed when both are written."""
    kafka.produce([*short(20), Sent(b"no JSON"), *short(20, 20), Sent(b"none either")])
    ends = {"--sink": f"kafka://{kafka.servers}/{kafka.out}"}
    ends["--dead_letters"] = f"kafka://{kafka.servers}/{kafka.dead}"
    file = tmp_path / "out.jsonl"

    def args(path: str) -> list[str]:
        flags = itertools.chain(*(ends | {full: path}).items())
        return ["run", *kafka.args()[1:3], *flags, "--stop_at_end"]

    done = finished(*args("/dev/full"))
    assert done.code == 1, done.stderr
    assert "No space left on device" in done.error
    succeeded(*args(str(file)))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    if full == "--sink":
        assert {line["id"] for line in lines} == {f"n{i}" for i in range(40)}
    else:
        values = {base64.b64decode(line["value"]) for line in lines}
        assert values == {b"no JSON", b"none either"}


@DELIVERIES
def test_lost_records_and_all_that_is_there_may_be_skipped(
    kafka: Topics, behind: dict[str, Sent], tmp_path: Path, delivery: str
) -> None:
    go_on = ("--on_offset_out_of_range", "latest", "--delivery", delivery)
    with running(kafka.args(*go_on), tmp_path) as process:

        def one_came() -> bool:
            kafka.produce(short(1, 100), partition=1)
            return kafka.count() > 0

        process.wait_for(one_came, "a late message to come out")
        done = process.drain()
    assert "going on at latest" in done.stderr
    ids = {json.loads(got.value or b"")["id"] for got in kafka.outcomes()[0]}
    assert ids == {"n100"}


def _offset(place: str) -> int:
    return int(place.rpartition("@")[2])
