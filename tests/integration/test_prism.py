"""The same on Prism, Beam's other local runner; built with Go where that is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals

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

Args = Callable[..., list[str]]


@pytest.fixture
def on_prism(prism: Path) -> tuple[str, ...]:
    return ("--runner=PrismRunner", f"--prism_location={prism}")


def test_through_put_and_restart(embedded: Topics, on_prism: tuple[str, ...]) -> None:
    messages = mixed(200)
    flags = (*on_prism, "--delivery", "at_least_once", "--stop_at_end")
    sent = embedded.produce(messages[:150])
    succeeded(*embedded.args(*flags), anew=True)
    assert_each_once(sent, embedded)
    sent |= embedded.produce(messages[150:])
    succeeded(*embedded.args(*flags))
    assert_each_once(sent, embedded)


@pytest.mark.parametrize("how", [SIGTERM, pytest.param(SIGINT, marks=pytest.mark.long)])
def test_a_signal_finishes_what_was_read(
    embedded: Topics, on_prism: tuple[str, ...], tmp_path: Path, how: Signals
) -> None:
    sent = embedded.produce(short(500))
    flags = (*on_prism, "--delivery", "at_least_once")
    with running(embedded.args(*flags), tmp_path) as process:
        process.wait_for(lambda: embedded.count() > 0, "first outcomes")
        if how == SIGINT:
            # As a terminal does it: Prism gets it too.
            process.signal_group(how)
        else:
            process.signal(how)
        done = process.wait()
    assert done.code == 0, done.stderr
    assert "Traceback" not in done.stderr
    ((total, _),) = SUMMARY.findall(done.stderr)
    assert embedded.count() == int(total)
    succeeded(*embedded.args(*flags, "--stop_at_end"))
    assert_each_once(sent, embedded)


def test_exactly_once_after_kill_9(
    kafka: Topics, on_prism: tuple[str, ...], tmp_path: Path
) -> None:
    sent = kafka.produce(short(2_000))
    with running(kafka.args(*on_prism), tmp_path) as process:
        process.wait_for(lambda: kafka.count() > 0, "first outcomes")
        process.signal_group(SIGKILL)
        process.wait()
    succeeded(*kafka.args(*on_prism, "--stop_at_end"))
    assert_each_once(sent, kafka)


@pytest.mark.long
def test_a_second_instance_fences_the_first(
    kafka: Topics, on_prism: tuple[str, ...], tmp_path: Path
) -> None:
    sent = kafka.produce(short(50))
    with running(kafka.args(*on_prism), tmp_path) as first:
        first.wait_for(lambda: kafka.count() == 50, "the first instance to work")
        with running(kafka.args(*on_prism, "--shards", "3"), tmp_path) as second:

            def first_ended() -> bool:
                sent.update(kafka.produce(short(20, len(sent))))
                return not first.running

            second.wait_for(first_ended, "the first instance to stop")
            second.wait_for(lambda: kafka.count() >= len(sent), "the second to do the rest")
            second.drain()
        done = first.wait()
    assert done.code == 3, done.stderr
    assert "newsbeam: another instance has" in done.stderr
    assert "Traceback" not in done.stderr
    assert_each_once(sent, kafka)
