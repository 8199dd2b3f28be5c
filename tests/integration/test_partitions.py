"""Partitions that are added while it runs, and topics that go away."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipeline.options import RunOptions
from pipeline.run import execute
from tests.integration.harness import (
    DELIVERIES,
    Topics,
    assert_each_once,
    running,
    short,
    succeeded,
)
from tests.servers.apache_kafka import KafkaCluster
from tests.servers.processes import wait_until
from transforms.kafka.faults import KafkaFailure
from transforms.reading import drain

#: So that tests need not wait for what is half a minute by default.
QUICK = "&metadata_max_age_ms=1000"


@DELIVERIES
def test_new_partitions_are_read_from_their_beginning(
    kafka: Topics, apache_kafka: KafkaCluster, tmp_path: Path, delivery: str
) -> None:
    sent = kafka.produce(short(20))
    args = kafka.args("--delivery", delivery, source_query=QUICK)
    with running(args, tmp_path) as process:
        process.wait_for(lambda: kafka.count() == 20, "it to work")
        apache_kafka.add_partitions(kafka.news, 6)
        # At once: the pipeline can't know of them yet.
        sent |= kafka.produce(short(20, 20), partition=4) | kafka.produce(short(5, 40), partition=5)
        process.wait_for(lambda: kafka.count() == 45, "the new partitions to be read")
        done = process.drain()
    assert f"{kafka.news}-4" in done.stderr
    assert_each_once(sent, kafka)
    sent |= kafka.produce(short(5, 45), partition=5)
    succeeded(*kafka.args("--delivery", delivery, "--stop_at_end"))
    assert_each_once(sent, kafka)


def test_a_deleted_topic_ends_it_with_a_clear_line(
    kafka: Topics, apache_kafka: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transforms.kafka.topics.DELETED_AFTER", 1.0)
    kafka.produce(short(20))
    at = f"kafka://{kafka.servers}"
    options = RunOptions(
        source=f"{at}/{kafka.news}?group={kafka.group}&metadata_max_age_ms=500",
        sink=f"{at}/{kafka.out}",
        dead_letters=f"{at}/{kafka.dead}",
    )

    def delete() -> None:
        try:
            wait_until(lambda: kafka.count() == 20, "it to work")
            apache_kafka.delete_topic(kafka.news)
        except BaseException:
            drain()
            raise

    deleter = threading.Thread(target=delete)
    deleter.start()
    try:
        with pytest.raises(KafkaFailure, match=f"topic '{kafka.news}' is gone from"):
            execute(options)
    finally:
        deleter.join()
