"""Exactly once on a stand-alone Flink: through-put, and kill -9 of all that runs there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.flink.jobs import PATIENCE, Feeder, submitted, watched
from tests.integration.harness import Topics, assert_each_once, mixed, short
from tests.servers.stand_alone_flink import KILLS, StandAloneFlink

pytestmark = pytest.mark.timeout(3 * PATIENCE)
RECORDS = 20_000
#: Messages a second while things are killed.
RATE = 50


def test_20_000_records_come_out_once(
    kafka: Topics, stand_alone: StandAloneFlink, tmp_path: Path
) -> None:
    sent = kafka.produce([*mixed(300), *short(RECORDS - 300)])
    with submitted(stand_alone, kafka.args(), tmp_path) as job, watched(kafka) as outcomes:
        job.client.wait_for(outcomes.look, "first outcomes", timeout=PATIENCE)
        began, first = time.monotonic(), outcomes.count
        job.client.wait_for(lambda: outcomes.look() >= RECORDS, "all outcomes", timeout=PATIENCE)
        print(f"{(RECORDS - first) / (time.monotonic() - began):.0f} records/s")
    assert_each_once(sent, kafka)


def test_kills_lose_and_double_nothing(
    kafka: Topics, stand_alone: StandAloneFlink, tmp_path: Path
) -> None:
    with (
        submitted(stand_alone, kafka.args(), tmp_path) as job,
        watched(kafka) as outcomes,
        Feeder(kafka, RATE) as feeder,
    ):
        for what, kills in KILLS.items():

            def came_through(after: int = feeder.count) -> bool:
                outcomes.look()
                return outcomes.newest > after

            job.client.wait_for(came_through, f"outcomes before {what}", timeout=PATIENCE)
            killed, before = time.monotonic(), feeder.count
            for kill in kills:
                kill(stand_alone)
            stand_alone.start_killed()
            job.client.wait_for(
                lambda: came_through(before),  # noqa: B023 - it is done with before the next
                f"outcomes after {what}",
                timeout=PATIENCE,
            )
            print(f"killed {what}: next outcome after {time.monotonic() - killed:.1f} s")
        feeder.stop()
        job.client.wait_for(
            lambda: outcomes.look() >= feeder.count, "all outcomes", timeout=PATIENCE
        )
    assert_each_once(feeder.sent, kafka)
