"""`newsbeam jobs` on a stand-alone Flink: detached, looked at, upgraded, stopped, resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.flink.jobs import PATIENCE, watched
from tests.integration.harness import (
    Topics,
    assert_each_once,
    finished,
    read_topic,
    refused,
    short,
    succeeded,
)
from tests.servers.processes import wait_until
from tests.servers.stand_alone_flink import StandAloneFlink

pytestmark = pytest.mark.timeout(4 * PATIENCE)
BEFORE, AFTER, LAST = 300, 200, 100


def test_a_job_is_upgraded_to_another_model_and_resumed(
    kafka: Topics, stand_alone: StandAloneFlink, tmp_path: Path
) -> None:
    cluster = stand_alone.cluster
    at = f"--flink_master={cluster.rest}"
    run = [*kafka.args("--shards=4", "--detach", "--model=ag_news_small"), *stand_alone.args()]
    sent = kafka.produce(short(BEFORE))

    with watched(kafka) as outcomes:

        def all_out() -> bool:
            return outcomes.look() >= len(sent)

        done = succeeded(*run, anew=True)
        (first,) = cluster.alive()
        assert f"is on the cluster as {first}, http://{cluster.rest}/#/job/{first}" in done.stderr
        wait_until(all_out, "outcomes", timeout=PATIENCE)
        by_first = {got.source for got in read_topic(kafka.servers, kafka.out)}

        assert first in succeeded("jobs", "list", at).stdout
        name = f"newsbeam-{kafka.group}"
        line = refused("jobs", "upgrade", name, at, "--shards=3", anew=True)
        assert "--shards can't change: the job has 4, this would have 3" in line
        assert cluster.alive() == [first]

        done = succeeded("jobs", "upgrade", name, at, "--model=ag_news_mini", anew=True)
        assert f"stopped job {first} with savepoint" in done.stderr
        (second,) = cluster.alive()
        sent |= kafka.produce(short(AFTER, BEFORE))
        wait_until(all_out, "outcomes of the new model", timeout=PATIENCE)

        wait_until(
            lambda: (
                " 4 shards" in (out := succeeded("jobs", "status", second, at).stdout)
                and "categorized" in out
                and "resumed from" in out
            ),
            "the counts",
            timeout=PATIENCE,
        )
        stopped = succeeded("jobs", "stop", second, at)
        assert stopped.stdout.startswith("file:")
        assert cluster.alive() == []

        sent |= kafka.produce(short(LAST, BEFORE + AFTER))
        succeeded("jobs", "resume", second, at, anew=True)
        wait_until(all_out, "outcomes of the resumed job", timeout=PATIENCE)
        succeeded("jobs", "stop", name, at, "--drain")
    assert_each_once(sent, kafka)
    for got in read_topic(kafka.servers, kafka.out):
        model = json.loads(got.value or b"")["model"]
        assert ("mini" in model) == (got.source not in by_first)
    assert "it has" in finished("jobs", "status", "no-such-job", at).stderr
