"""The shortest test on a stand-alone Flink, which `make test` has too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flink.jobs import PATIENCE, submitted, watched
from tests.integration.harness import Topics, assert_each_once, mixed
from tests.servers.stand_alone_flink import StandAloneFlink


@pytest.mark.timeout(2 * PATIENCE)
@pytest.mark.shortest
def test_news_and_poison_come_out_once_each_and_whole(
    kafka: Topics, stand_alone: StandAloneFlink, tmp_path: Path
) -> None:
    sent = kafka.produce(mixed(200))
    with submitted(stand_alone, kafka.args(), tmp_path) as job, watched(kafka) as outcomes:
        job.client.wait_for(lambda: outcomes.look() >= 200, "all outcomes", timeout=PATIENCE)
    assert_each_once(sent, kafka)
