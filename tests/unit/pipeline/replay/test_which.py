"""Which dead letters are meant."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from pipeline.replay.which import Sieve, WhichLetters, time_of
from tests.unit.pipeline.replay.letters import NOON, letter
from transforms.errors import ConfigurationError

HOUR = datetime.timedelta(hours=1)


@pytest.mark.parametrize(
    ("asked", "left_out_by"),
    [
        ({}, None),
        ({"stage": ("WriteToKafka", "parsenews")}, None),
        ({"stage": ("TokenizeNews",)}, "--stage"),
        ({"error_type": ("ValueError",)}, None),
        ({"error_type": ("NotNews",)}, "--error_type"),
        ({"error": "VALID json"}, None),
        ({"error": "no text"}, "--error"),
        ({"since": "2026-02-01T12:00:00Z"}, None),
        ({"since": "2026-02-01T12:00:01Z"}, "--since"),
        ({"since": "2h"}, None),
        ({"since": "59m"}, "--since"),
        ({"until": "2026-02-01T12:00:01Z"}, None),
        ({"until": "2026-02-01T12:00:00Z"}, "--until"),
        ({"until": "90min"}, "--until"),
        ({"stage": ("ParseNews",), "error": "no text"}, "--error"),
    ],
    ids=str,
)
def test_a_flag_leaves_out_what_is_not_of_it(
    asked: dict[str, Any], left_out_by: str | None
) -> None:
    sieve = Sieve(WhichLetters(**asked), at=NOON + HOUR)
    assert sieve.left_out_by(letter()) == left_out_by


def test_what_failed_too_often_is_left_out() -> None:
    sieve = Sieve(WhichLetters(), max_attempts=3)
    assert sieve.left_out_by(letter(attempt=2)) is None
    assert sieve.left_out_by(letter(attempt=3)) == "--max_attempts"


@pytest.mark.parametrize(
    ("text", "back"),
    [("90s", 90), ("30m", 1800), ("30min", 1800), ("2h", 7200), ("7d", 604_800), ("1w", 604_800)],
)
def test_how_long_ago(text: str, back: int) -> None:
    assert time_of("since", text, NOON) == NOON - datetime.timedelta(seconds=back)


def test_longer_ago_than_there_are_times_is_all_time() -> None:
    assert time_of("since", "999999999w", NOON) < NOON


@pytest.mark.parametrize("text", ["yesterday", "2x", "", "-1h"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--since .* is no time: give one such as"):
        Sieve(WhichLetters(since=text))


def test_nothing_lies_between() -> None:
    with pytest.raises(ConfigurationError, match="nothing is between"):
        Sieve(WhichLetters(since="1h", until="2h"))
