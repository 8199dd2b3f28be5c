"""A job is stopped with a savepoint, and resumed with another model, settings and parallelism."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kafka import TopicPartition

from tests.flink.jobs import PATIENCE, submitted, watched
from tests.integration.harness import Topics, assert_each_once, read_topic, short
from tests.servers.apache_kafka import KafkaCluster
from tests.servers.processes import wait_until
from tests.servers.stand_alone_flink import StandAloneFlink

pytestmark = pytest.mark.timeout(4 * PATIENCE)
BEFORE, MEANWHILE, AFTER = 1_000, 200, 500


@pytest.fixture
def first_of(apache_kafka: KafkaCluster) -> Callable[[str, int], None]:
    """Deletes the first records of a topic's partition 0, as retention does."""

    def delete(topic: str, before: int) -> None:
        with apache_kafka.admin() as admin:
            admin.delete_records({TopicPartition(topic, 0): before})

    return delete


def test_a_savepoint_is_resumed_with_what_the_new_job_says(
    kafka: Topics,
    stand_alone: StandAloneFlink,
    tmp_path: Path,
    first_of: Callable[[str, int], None],
) -> None:
    cluster = stand_alone.cluster
    args = kafka.args("--shards=4", "--model=ag_news_small")
    sent = kafka.produce(short(BEFORE))
    with submitted(stand_alone, args, tmp_path) as job, watched(kafka) as outcomes:
        job.client.wait_for(lambda: outcomes.look() >= BEFORE, "outcomes", timeout=PATIENCE)
        savepoint = cluster.stop_with_savepoint(job.id)
    by_old = {got.source for got in read_topic(kafka.servers, kafka.out)}

    # Retention takes some that were not read.
    meanwhile = kafka.produce(short(MEANWHILE, BEFORE), partition=0)
    lost = dict(list(meanwhile.items())[:100])
    sent |= {place: m for place, m in meanwhile.items() if place not in lost}
    first_of(kafka.news, 1 + max(int(place.partition("@")[2]) for place in lost))

    resumed = f"--savepoint_path={savepoint}"
    with submitted(stand_alone, [*kafka.args("--shards=3"), resumed], tmp_path) as job:

        def refusal() -> str:
            history = cluster.get(f"/jobs/{job.id}/exceptions")["exceptionHistory"]["entries"]
            return "\n".join(entry["stacktrace"] for entry in history)

        wait_until(refusal, "a job of other shards to fail", timeout=PATIENCE, interval=0.5)
        assert "the savepoint is of 4 shards" in refusal()
        cluster.cancel(job.id)

    settings = ["--model=ag_news_mini", "--on_offset_out_of_range=earliest"]
    args = kafka.args("--shards=4", *settings, resumed)
    with submitted(stand_alone, args, tmp_path, 4) as job, watched(kafka) as outcomes:
        sent |= kafka.produce(short(AFTER, BEFORE + MEANWHILE))
        job.client.wait_for(lambda: outcomes.look() >= len(sent), "outcomes", timeout=PATIENCE)
        assert cluster.get(f"/jobs/{job.id}/checkpoints")["latest"]["restored"]
    assert_each_once(sent, kafka)
    for got in read_topic(kafka.servers, kafka.out):
        model = json.loads(got.value or b"")["model"]
        assert ("mini" in model) == (got.source not in by_old)
