"""`--standby`: one of two instances works, the other one waits until it is gone."""

from __future__ import annotations

from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import pytest

from tests.integration.harness import Process, Sent, Topics, assert_each_once, running, short

STANDING_BY = "standing by: another instance reads for this group"


def waits(process: Process) -> bool:
    return STANDING_BY in process.log


@pytest.mark.parametrize(
    "delivery", [pytest.param("exactly_once", marks=pytest.mark.long), "at_least_once"]
)
def test_it_takes_the_place_of_one_that_is_killed(
    kafka: Topics, tmp_path: Path, delivery: str
) -> None:
    """At least once, two that work at a time would write everything twice."""
    args = kafka.args("--standby", "--delivery", delivery)
    sent: dict[str, Sent] = kafka.produce(short(20))
    with running(args, tmp_path) as first:
        first.wait_for(lambda: kafka.count() == 20, "the first instance to work")
        with running(args, tmp_path) as second:
            second.wait_for(lambda: waits(second), "the second to stand by")
            sent |= kafka.produce(short(20, len(sent)))
            first.wait_for(lambda: kafka.count() == 40, "the first to go on")
            first.signal(SIGKILL)
            sent |= kafka.produce(short(20, len(sent)))
            second.wait_for(lambda: kafka.count() >= 60, "the second to take its place")
            with running(args, tmp_path) as third:
                third.wait_for(lambda: waits(third), "the first one's successor to stand by")
                # Its turn comes at once when the other one ends by itself.
                done = second.drain()
                sent |= kafka.produce(short(5, len(sent)))
                third.wait_for(lambda: kafka.count() >= 65, "the third to work")
                third.drain()
    assert done.code == 0, done.stderr
    assert_each_once(sent, kafka)


def test_it_ends_while_it_waits(kafka: Topics, tmp_path: Path) -> None:
    with running(kafka.args("--standby"), tmp_path) as first:
        sent = kafka.produce(short(1))
        first.wait_for(lambda: kafka.count() == 1, "the first instance to work")
        with running(kafka.args("--standby"), tmp_path) as second:
            second.wait_for(lambda: waits(second), "the second to stand by")
            second.signal(SIGTERM)
            done = second.wait()
        assert done.code == 0, done.stderr
        assert done.stderr.endswith("stopped while it stood by\n")
        sent |= kafka.produce(short(1, 1))
        first.wait_for(lambda: kafka.count() == 2, "the first to go on")
        first.drain()
    assert_each_once(sent, kafka)


@pytest.mark.long
def test_one_that_was_silent_for_too_long_ends(kafka: Topics, tmp_path: Path) -> None:
    args = kafka.args("--standby", "--delivery", "exactly_once")
    with running(args, tmp_path) as first:
        sent = kafka.produce(short(20))
        first.wait_for(lambda: kafka.count() == 20, "the first instance to work")
        with running(args, tmp_path) as second:
            second.wait_for(lambda: waits(second), "the second to stand by")
            first.signal(SIGSTOP)
            sent |= kafka.produce(short(20, 20))
            second.wait_for(lambda: kafka.count() == 40, "the second to take its place")
            first.signal(SIGCONT)
            done = first.wait()
            sent |= kafka.produce(short(1, 40))
            second.wait_for(lambda: kafka.count() >= 41, "the second to go on")
            second.drain()
    assert done.code == 3, done.stderr
    # Whichever it learns first: that its shard was taken over, or its turn.
    assert done.error.startswith("newsbeam: another instance "), done.stderr
    assert "Traceback" not in done.stderr
    assert_each_once(sent, kafka)
