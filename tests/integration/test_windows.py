"""Windows of an endless stream, behind every kind of start: nothing that waits comes too late."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import TopicPartition

from tests.integration.harness import Topics
from tests.integration.windows import (
    check_a_backlog,
    check_partitions_of_all_kinds,
    closed,
    counting,
    in_windows,
    produce,
    source,
    ten_hours,
)
from tests.servers.apache_kafka import KafkaCluster
from tests.servers.processes import wait_until
from transforms.kafka.session import close_sessions
from transforms.tally import TALLY


@pytest.fixture
def runner(prism: Path) -> tuple[str, ...]:
    return ("--runner=PrismRunner", f"--prism_location={prism}")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_sessions()


def test_a_backlog(kafka: Topics, runner: tuple[str, ...]) -> None:
    check_a_backlog(kafka, runner)


@pytest.mark.parametrize("shards", [pytest.param(1, marks=pytest.mark.long), 3])
def test_partitions_of_all_kinds(kafka: Topics, runner: tuple[str, ...], shards: int) -> None:
    check_partitions_of_all_kinds(kafka, runner, shards)


def test_on_fn_api_runner_all_is_counted_at_the_end(kafka: Topics) -> None:
    times = [t for p in range(4) for t in produce(kafka, p, ten_hours(5_000))]
    end = {TopicPartition(kafka.news, p): 5_000 for p in range(4)}
    with counting(source(kafka).ending_at(end), ["--runner=FnApiRunner"]) as windows:
        windows.wait_for(in_windows(times))
    assert windows.fired() == in_windows(times)


def test_what_is_read_after_a_restart(kafka: Topics, runner: tuple[str, ...]) -> None:
    times = {p: produce(kafka, p, ten_hours(1_000)) for p in range(4)}
    half = {TopicPartition(kafka.news, p): 500 * (p % 3) for p in range(4)}
    first = source(kafka, start="committed").ending_at(half)
    with counting(first, runner) as windows:
        windows.wait_for(in_windows([t for p in times for t in times[p][: 500 * (p % 3)]]))
    rest = in_windows([t for p in times for t in times[p][500 * (p % 3) :]])
    with counting(source(kafka, start="committed"), runner) as windows:
        windows.wait_for(closed(rest))
    assert windows.fired() == rest


@pytest.mark.long
def test_while_a_broker_is_away(
    kafka: Topics, apache_kafka: KafkaCluster, runner: tuple[str, ...]
) -> None:
    times = [t for p in range(4) for t in produce(kafka, p, ten_hours(2_000))]
    with counting(source(kafka, max_delay=120.0), runner) as windows:
        wait_until(lambda: TALLY.snapshot().read, "it to begin")
        apache_kafka.kill()
        made = [time.time() + i / 100 for i in range(3)]
        apache_kafka.restart()
        # What was made while the broker was away comes now.
        for partition in range(4):
            times += produce(kafka, partition, made)
        windows.wait_for(closed(in_windows(times)))
    assert windows.fired() == in_windows(times)


def test_partitions_that_are_added(
    kafka: Topics, apache_kafka: KafkaCluster, runner: tuple[str, ...]
) -> None:
    seconds: list[float] = []
    with counting(source(kafka, max_delay=5.0), runner, size=1.0) as windows:
        for partition in range(4):
            seconds += produce(kafka, partition, [time.time()] * 10)
        apache_kafka.add_partitions(kafka.news, 6)
        for partition in (5, 4, 0):
            seconds += produce(kafka, partition, [time.time()] * 10)
        # Nothing more comes, and still each window fires.
        windows.wait_for(in_windows(seconds, 1.0))
    assert windows.fired() == in_windows(seconds, 1.0)


def test_by_publication(kafka: Topics, runner: tuple[str, ...]) -> None:
    """News of ten hours, in records of a moment ago."""
    news = ten_hours(400)
    for partition in range(4):
        produce(kafka, partition, news[partition::4], published=True)
    with counting(source(kafka), runner, published=True) as windows:
        windows.wait_for(closed(in_windows(news)))
    assert windows.fired() == in_windows(news)
