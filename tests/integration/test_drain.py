"""SIGTERM and Ctrl-C: what was read is finished, committed and summed up, and nothing else is said."""

from __future__ import annotations

from pathlib import Path
from signal import SIGINT, SIGTERM, Signals

import pytest

from tests.integration.harness import (
    SUMMARY,
    Topics,
    assert_each_once,
    mixed,
    running,
    short,
    succeeded,
)


@pytest.mark.parametrize("how", [SIGTERM, SIGINT])
def test_a_signal_finishes_what_was_read(embedded: Topics, tmp_path: Path, how: Signals) -> None:
    sent = embedded.produce(mixed(300))
    with running(embedded.args("--delivery", "at_least_once"), tmp_path) as process:
        process.wait_for(lambda: embedded.count() > 0, "first outcomes")
        done = process.drain(how)
    assert f"newsbeam: {how.name}: finishing what was read" in done.stderr
    ((total, _),) = SUMMARY.findall(done.stderr)
    # What it says it has done is there. The rest is left to the next run, which repeats nothing.
    assert embedded.count() == int(total)
    succeeded(*embedded.args("--delivery", "at_least_once", "--stop_at_end"))
    assert_each_once(sent, embedded)


def test_an_idle_one_ends(embedded: Topics, tmp_path: Path) -> None:
    sent = embedded.produce(short(5))
    with running(embedded.args("--delivery", "at_least_once"), tmp_path) as process:
        process.wait_for(lambda: embedded.count() == 5, "all outcomes")
        done = process.drain()
    assert "newsbeam: 5 records in" in done.stderr
    assert_each_once(sent, embedded)


def test_exactly_once_too(kafka: Topics, tmp_path: Path) -> None:
    sent = kafka.produce(short(2_000))
    with running(kafka.args(), tmp_path) as process:
        process.wait_for(lambda: kafka.count() > 0, "first outcomes")
        ((total, _),) = SUMMARY.findall(process.drain().stderr)
    assert kafka.count() == int(total.replace(",", ""))
    succeeded(*kafka.args("--stop_at_end"))
    assert_each_once(sent, kafka)
