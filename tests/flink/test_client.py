"""The command line beside a job: true counts, signals, and what others do to the job."""

from __future__ import annotations

import re
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.flink.jobs import PATIENCE, watched
from tests.integration.harness import Topics, assert_each_once, finished, refused, running, short
from tests.servers.stand_alone_flink import StandAloneFlink

pytestmark = pytest.mark.timeout(4 * PATIENCE)
BEFORE, AFTER = 400, 200


def test_it_shows_what_the_job_counts_and_stops_it_with_a_savepoint(
    kafka: Topics, stand_alone: StandAloneFlink, tmp_path: Path
) -> None:
    args = [*kafka.args(), *stand_alone.args()]
    sent = kafka.produce(short(BEFORE))
    with running(args, tmp_path, anew=True) as client:
        shown = f"| {BEFORE} done | lag 0 | Business {BEFORE} |"
        client.wait_for(lambda: shown in client.log, "the counts", timeout=PATIENCE)
        client.signal(SIGTERM)
        done = client.wait()
    assert done.code == 0, done.stderr
    assert "Traceback" not in done.stderr
    savepoint = re.search(r"--savepoint_path=(\S+)\n", done.stderr)
    assert savepoint, done.stderr
    assert stand_alone.cluster.alive() == []

    # The same command and that; until somebody else cancels the job.
    sent |= kafka.produce(short(AFTER, BEFORE))
    resumed = [*args, f"--savepoint_path={savepoint[1]}"]
    with running(resumed, tmp_path, anew=True) as client, watched(kafka) as outcomes:
        client.wait_for(lambda: outcomes.look() >= len(sent), "outcomes", timeout=PATIENCE)
        (job,) = stand_alone.cluster.alive()
        assert stand_alone.cluster.get(f"/jobs/{job}/checkpoints")["latest"]["restored"]
        client.wait_for(lambda: f"job {job} runs" in client.log, "the client", timeout=PATIENCE)
        assert (
            f"runs a job newsbeam-{kafka.group} already, {job}" in finished(*args, anew=True).error
        )
        stand_alone.cluster.cancel(job)
        done = client.wait()
    assert done.code == 4, done.stderr
    assert f"job {job} was cancelled by somebody else" in done.error
    assert_each_once(sent, kafka)


def test_within_the_job_server_a_signal_drains(
    kafka: Topics, flink: tuple[str, ...], tmp_path: Path
) -> None:
    # As a user would: nothing is said that newsbeam sets.
    jar = next(each for each in flink if each.startswith("--flink_job_server_jar"))
    args = kafka.args("--runner=FlinkRunner", "--flink_master=[local]", jar)
    sent = kafka.produce(short(BEFORE))
    with running(args, tmp_path, anew=True) as client, watched(kafka) as outcomes:
        client.wait_for(lambda: outcomes.look() >= len(sent), "outcomes", timeout=PATIENCE)
        client.drain()
    assert_each_once(sent, kafka)


def test_a_misspelt_option_is_one_line(kafka: Topics, stand_alone: StandAloneFlink) -> None:
    line = refused(*kafka.args(), *stand_alone.args(), "--max_bundle_time_millis=50")
    assert "did you mean --max_bundle_time_mills?" in line
    assert stand_alone.cluster.alive() == []
