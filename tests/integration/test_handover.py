"""A second instance with the same group takes over: the first one stops, and nothing comes twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.harness import Sent, Topics, assert_each_once, running, short


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param((), id="same"),
        pytest.param(("--shards", "3"), id="fewer"),
        pytest.param(("--shards", "7"), id="more", marks=pytest.mark.long),
    ],
)
def test_a_second_instance_fences_the_first(
    kafka: Topics, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    sent = kafka.produce(short(100))
    with running(kafka.args("--shards", "4"), tmp_path) as first:
        first.wait_for(lambda: kafka.count() == 100, "the first instance to work")
        with running(kafka.args(*(flags or ("--shards", "4"))), tmp_path) as second:

            def first_ended() -> bool:
                # It learns of the other when it next commits something.
                sent.update(kafka.produce(short(20, len(sent))))
                return not first.running

            second.wait_for(first_ended, "the first instance to stop")
            done = first.wait()
            second.wait_for(lambda: kafka.count() >= len(sent), "the second to do the rest")
            second.drain()
    assert done.code == 3, done.stderr
    assert re.fullmatch(
        r"newsbeam: another instance has (taken over|committed) .* goes on from .*", done.error
    )
    assert "Traceback" not in done.stderr
    assert_each_once(sent, kafka)


def test_other_groups_are_left_alone(kafka: Topics, tmp_path: Path) -> None:
    """Also those whose name begins alike."""
    other = kafka._replace(group=f"{kafka.group}-2")
    sent: dict[str, Sent] = {}
    with running(kafka.args(), tmp_path) as first, running(other.args(), tmp_path) as second:
        for _ in range(2):
            sent |= kafka.produce(short(20, len(sent)))
            expected = 2 * len(sent)
            for process in (first, second):
                process.wait_for(lambda n=expected: kafka.count() >= n, "both to work")  # type: ignore[misc]
        first.drain()
        second.drain()
    assert kafka.count() == 2 * len(sent)
