"""The servers that other tests rely on do what is expected of them, Kafka's guarantees included.

That the secured listeners let in who may is in `test_security`.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import (
    KafkaError,
    ProducerFencedError,
    TransactionAbortedError,
)
from kafka.structs import OffsetAndMetadata, TopicPartition

from tests.servers.apache_kafka import KafkaCluster
from tests.servers.cache import Unavailable, provision_once, run_or_unavailable
from tests.servers.processes import ServerProcess, free_port, wait_until

Unique = Callable[[str], str]
WRONG_PASSWORD = "wrong-horse"


def produce(cluster: KafkaCluster, topic: str, values: list[bytes], **settings: Any) -> None:
    settings = {"bootstrap_servers": cluster.bootstrap_servers, **settings}
    with closing(KafkaProducer(**settings)) as producer:
        futures = [producer.send(topic, value) for value in values]
        producer.flush()
        for future in futures:
            future.get()


def read(cluster: KafkaCluster, topic: str, **settings: Any) -> list[bytes]:
    """All values between the beginning of a topic and its present end, in order of offsets."""
    settings = {"bootstrap_servers": cluster.bootstrap_servers, "group_id": None, **settings}
    with closing(KafkaConsumer(**settings)) as consumer:
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)
        values: list[bytes] = []

        def at_end() -> bool:
            for records in consumer.poll(timeout_ms=200).values():
                values.extend(record.value for record in records)
            return all(consumer.position(p) >= ends[p] for p in partitions)

        wait_until(at_end, f"the end of {topic}")
    return values


def assert_refused(cluster: KafkaCluster, settings: dict[str, Any], reason: str) -> None:
    """A client with these settings gets no connection, and the broker's log says why.

    kafka-python only says that it could not bootstrap, whatever the cause was.
    """
    log = cluster.process().log
    seen = len(log.read_text())
    with pytest.raises(KafkaError) as error:
        KafkaProducer(**settings, bootstrap_timeout_ms=2_000)
    said = rf"Failed authentication with .*{reason}"
    wait_until(lambda: re.search(said, log.read_text()[seen:]), f"the broker to log {said!r}")
    assert WRONG_PASSWORD not in str(error.value)


@contextmanager
def transactional(cluster: KafkaCluster, transactional_id: str) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(
        bootstrap_servers=cluster.bootstrap_servers, transactional_id=transactional_id
    )
    with closing(producer):
        producer.init_transactions()
        yield producer


def _make_slowly(folder: Path) -> None:
    (folder / f"made-by-{os.getpid()}").touch()
    time.sleep(0.2)  # long enough for the others to arrive


def _provision(_: int) -> list[str]:
    return sorted(path.name for path in provision_once("thing-1", _make_slowly).iterdir())


def test_processes_that_provision_at_once_share_one_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSBEAM_TEST_CACHE", str(tmp_path))
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        contents = list(pool.map(_provision, range(3)))
    assert len(contents[0]) == 1
    assert contents == [contents[0]] * 3


def test_a_failed_provision_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSBEAM_TEST_CACHE", str(tmp_path))

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        run_or_unavailable(["sh", "-c", "echo no such mirror; exit 7"], "fetching")

    with pytest.raises(Unavailable, match=r"fetching failed with exit code 7:\nno such mirror"):
        provision_once("thing-2", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["thing-2.lock"]


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="Apache Kafka needs `java`, which is not on PATH"):
        KafkaCluster(tmp_path)


def test_ports_are_free_and_never_handed_out_twice() -> None:
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == 200


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(TimeoutError, match=r"waited 0 s for rain"):
        wait_until(lambda: False, "rain", timeout=0.01)


def test_a_server_that_ends_by_itself_is_reported_with_its_log(tmp_path: Path) -> None:
    with ServerProcess(["sh", "-c", "echo no such cable; exit 3"], tmp_path / "log") as server:
        wait_until(lambda: not server.running, "the shell to end")
        with pytest.raises(RuntimeError, match=r"ended with 3;(.|\n)*no such cable"):
            server.check_running()


def test_a_paused_server_can_be_stopped(tmp_path: Path) -> None:
    with ServerProcess(["sleep", "1000"], tmp_path / "log") as server:
        server.pause()
        assert server.running
    assert not server.running


def test_what_is_produced_is_consumed(apache_kafka: KafkaCluster, unique: Unique) -> None:
    topic = apache_kafka.create_topic(unique("news"), partitions=3)
    sent = [b"%d" % number for number in range(1_000)]
    produce(apache_kafka, topic, sent)
    assert sorted(read(apache_kafka, topic)) == sorted(sent)


def test_partitions_are_added_and_topics_deleted(
    apache_kafka: KafkaCluster, unique: Unique
) -> None:
    topic = apache_kafka.create_topic(unique("growing"), configs={"retention.ms": "3600000"})
    apache_kafka.add_partitions(topic, 3)
    assert apache_kafka.leader(topic, 2) == 1
    assert apache_kafka.leader(topic, 3) == -1
    apache_kafka.delete_topic(topic)
    with closing(apache_kafka.admin()) as admin:
        assert topic not in admin.list_topics()


def test_only_committed_transactions_are_read(apache_kafka: KafkaCluster, unique: Unique) -> None:
    topic, group = apache_kafka.create_topic(unique("transactions")), unique("group")
    source = TopicPartition(unique("source"), 0)
    apache_kafka.create_topic(source.topic)
    with transactional(apache_kafka, unique("writer")) as producer:
        producer.begin_transaction()
        producer.send(topic, b"committed")
        producer.send_offsets_to_transaction({source: OffsetAndMetadata(7)}, group)
        producer.commit_transaction()

        producer.begin_transaction()
        producer.send(topic, b"aborted after it was written")
        producer.flush()
        producer.send_offsets_to_transaction({source: OffsetAndMetadata(8)}, group)
        producer.abort_transaction()

        producer.begin_transaction()
        unsent = producer.send(topic, b"aborted")
        producer.abort_transaction()
        if unsent.failed():  # unless the sender was quicker
            assert isinstance(unsent.exception, TransactionAbortedError)

    assert read(apache_kafka, topic, isolation_level="read_committed") == [b"committed"]
    assert b"aborted after it was written" in read(apache_kafka, topic)
    consumer = KafkaConsumer(
        bootstrap_servers=apache_kafka.bootstrap_servers,
        group_id=group,
        isolation_level="read_committed",
    )
    with closing(consumer):
        assert consumer.committed(source) == 7


def test_a_second_producer_fences_the_first(apache_kafka: KafkaCluster, unique: Unique) -> None:
    topic, name = apache_kafka.create_topic(unique("fenced")), unique("writer")
    with transactional(apache_kafka, name) as first:
        first.begin_transaction()
        first.send(topic, b"first")
        first.flush()
        with transactional(apache_kafka, name) as second:
            with pytest.raises(ProducerFencedError):
                first.commit_transaction()
            with pytest.raises(KafkaError, match="ProducerFencedError"):
                first.begin_transaction()
            second.begin_transaction()
            second.send(topic, b"second")
            second.commit_transaction()
    assert read(apache_kafka, topic, isolation_level="read_committed") == [b"second"]


def test_transactions_left_open_are_aborted_after_their_timeout(
    apache_kafka: KafkaCluster, unique: Unique
) -> None:
    topic = apache_kafka.create_topic(unique("abandoned"))
    producer = KafkaProducer(
        bootstrap_servers=apache_kafka.bootstrap_servers,
        transactional_id=unique("writer"),
        transaction_timeout_ms=1_000,
    )
    with closing(producer):
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic, b"abandoned")
        producer.flush()
        produce(apache_kafka, topic, [b"behind it"])  # held back until the transaction ends
        wait_until(
            lambda: read(apache_kafka, topic, isolation_level="read_committed") == [b"behind it"],
            "the coordinator to abort the transaction",
        )
        with pytest.raises(ProducerFencedError):
            producer.commit_transaction()


@pytest.mark.long
def test_a_killed_broker_comes_back_with_its_data(
    apache_kafka: KafkaCluster, unique: Unique
) -> None:
    topic = apache_kafka.create_topic(unique("durable"))
    produce(apache_kafka, topic, [b"before"])
    pid = apache_kafka.process().pid
    apache_kafka.kill()
    assert not apache_kafka.process().running
    apache_kafka.restart()
    assert apache_kafka.process().pid != pid
    produce(apache_kafka, topic, [b"after"])
    assert read(apache_kafka, topic) == [b"before", b"after"]


def test_a_paused_broker_answers_when_it_is_resumed(
    apache_kafka: KafkaCluster, unique: Unique
) -> None:
    topic = apache_kafka.create_topic(unique("paused"))
    with closing(KafkaProducer(bootstrap_servers=apache_kafka.bootstrap_servers)) as producer:
        producer.send(topic, b"before").get()
        apache_kafka.pause()
        try:
            held_up = producer.send(topic, b"meanwhile")
            with pytest.raises(KafkaError):
                producer.flush(timeout=0.5)
            assert not held_up.is_done
        finally:
            apache_kafka.resume()
        held_up.get()
    assert read(apache_kafka, topic) == [b"before", b"meanwhile"]


def test_three_brokers_survive_the_loss_of_a_leader(
    apache_kafka_cluster: KafkaCluster, unique: Unique
) -> None:
    cluster = apache_kafka_cluster
    topic = cluster.create_topic(unique("replicated"))
    produce(cluster, topic, [b"before"])
    lost = cluster.leader(topic)
    cluster.kill(lost)
    try:
        wait_until(
            lambda: cluster.leader(topic) not in (lost, -1),
            "another broker to lead",
            retry_on=(KafkaError,),
        )
        with transactional(cluster, unique("writer")) as producer:
            producer.begin_transaction()
            producer.send(topic, b"meanwhile").get()
            producer.commit_transaction()
    finally:
        cluster.restart(lost)
    produce(cluster, topic, [b"after"])
    committed = read(cluster, topic, isolation_level="read_committed")
    assert committed == [b"before", b"meanwhile", b"after"]


def test_tls_refuses_strangers(secured_kafka: KafkaCluster) -> None:
    untrusting = secured_kafka.client_settings()
    del untrusting["ssl_cafile"]
    mutual = secured_kafka.client_settings(client_certificate=True)
    without_certificate = {**mutual, "ssl_certfile": None, "ssl_keyfile": None}
    for settings in (untrusting, without_certificate):
        assert_refused(secured_kafka, settings, "SSL handshake failed")


@pytest.mark.parametrize(("mechanism", "tls"), [("PLAIN", False), ("SCRAM-SHA-512", True)])
def test_sasl_refuses_a_wrong_password(
    secured_kafka: KafkaCluster, mechanism: str, tls: bool
) -> None:
    settings = secured_kafka.client_settings(mechanism, tls=tls)
    assert settings["security_protocol"] == ("SASL_SSL" if tls else "SASL_PLAINTEXT")
    wrong = {**settings, "sasl_plain_password": WRONG_PASSWORD}
    assert_refused(secured_kafka, wrong, "Authentication failed")


def test_prism_runs(prism: Path) -> None:
    shown = subprocess.run([prism, "--help"], capture_output=True, text=True, check=False)
    assert "-job_port" in shown.stdout + shown.stderr
