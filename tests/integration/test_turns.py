"""A partition with much waiting beside quiet ones: who comes when, and what is said of the rest."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.harness import Topics, make_topics, running, short
from tests.servers.apache_kafka import KafkaCluster
from tests.servers.processes import wait_until
from transforms.kafka.read import KafkaSource
from transforms.kafka.session import close_sessions
from transforms.kafka.settings import KafkaSettings
from transforms.reading import Reader
from transforms.records import categorized_from_json, now
from transforms.tally import TALLY

BACKLOG = 6_000
#: What may come out between a quiet partition's record and its outcome: some turns' worth.
BETWEEN = 2_000


@pytest.mark.parametrize(
    ("partitions", "shards"),
    [(4, ()), (4, ("--shards", "4")), (200, ())],
    ids=["4 partitions", "4 shards", "200 partitions"],
)
def test_quiet_partitions_do_not_wait_for_a_busy_one(
    apache_kafka: KafkaCluster,
    unique: Callable[[str], str],
    tmp_path: Path,
    partitions: int,
    shards: tuple[str, ...],
) -> None:
    topics = make_topics(
        apache_kafka.create_topic, apache_kafka.bootstrap_servers, unique, partitions
    )
    topics.produce(short(BACKLOG), partition=0)
    sent: dict[str, datetime.datetime] = {}
    with running(topics.args(*shards), tmp_path) as process:
        process.wait_for(lambda: topics.count() > 200, "it to work")
        for number in (1, partitions - 1):
            at = now()
            sent |= dict.fromkeys(topics.produce(short(1, BACKLOG + number), number), at)
        process.wait_for(lambda: sent.keys() <= processed(topics).keys(), "the quiet ones")
        done = process.drain()
    times = processed(topics)
    for place, at in sent.items():
        assert sum(at < time < times[place] for time in times.values()) < BETWEEN
    # What is left is told, too.
    left = BACKLOG + 2 - topics.count()
    assert left > 0
    [lag] = re.findall(r"; lag ([\d,]+)", done.stderr)
    # An end of a transaction may count as a record.
    assert int(lag.replace(",", "")) == left


def processed(topics: Topics) -> dict[str, datetime.datetime]:
    """When each message was classified that is out, by its place."""
    return {
        got.source: categorized_from_json(got.value or b"").processed_time
        for got in topics.outcomes()[0]
    }


def test_lag_is_that_of_all_partitions_read_or_not(kafka: Topics) -> None:
    for partition in range(4):
        kafka.produce(short(100), partition=partition)
    source = KafkaSource(
        KafkaSettings.of(kafka.servers), [kafka.news], kafka.group, start="earliest", shards=4
    )

    def lag() -> int | None:
        backlog = TALLY.snapshot().backlog
        return None if backlog is None else backlog.messages

    try:
        readers = [source.reader(shard) for shard in source.shards()]
        for reader in readers[:3]:
            reader.resume(None)
        # Too small a number is worse than none.
        assert lag() is None
        readers[3].resume(None)
        assert lag() == 400
        _take(readers[0], 30)
        assert lag() == 370
        kafka.produce(short(50), partition=3)
        wait_until(lambda: lag() == 420, "another look")
        assert [source.backlog(shard).messages for shard in source.shards()] == [70, 100, 100, 150]
        for reader, count in zip(readers, (70, 100, 100, 150), strict=True):
            _take(reader, count)
        assert lag() == 0
    finally:
        close_sessions()


def _take(reader: Reader, count: int) -> None:
    """Reads so many records."""
    while count:
        count -= len(reader.poll(0.5, count).messages)
