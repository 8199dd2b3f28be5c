"""Reasons: what is one, what is told apart, and how many there may be."""

from __future__ import annotations

import datetime

import msgspec
import pytest

from pipeline.replay.found import Found
from pipeline.replay.reasons import MAX_REASON, Groups, normalized
from tests.unit.pipeline.replay.letters import NOON, found


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("invalid character (byte 17)", "invalid character (byte N)"),
        ("its result has 1,048,600 bytes", "its result has N bytes"),
        ("news-0@17 can't be read", "news-N@N can't be read"),
        ("score 0.25, not 1", "score N, not N"),
        ("field 'title' is a JSON number", "field 'title' is a JSON number"),
        ("field 'Stocks fell again' is odd", "field '…' is odd"),
        ("'12' is none", "'…' is none"),
        ('"it\'s a quote" here', '"…" here'),
        ("request 123e4567-e89b-12d3-a456-426614174000 failed", "request … failed"),
        ("hash 9f86d081884c7d65 differs", "hash … differs"),
        ("not UTF-8 from byte 3 on", "not UTF-8 from byte N on"),
        ("model int8 of ag_news2", "model int8 of ag_news2"),
        ("two\n lines", "two lines"),
        ("", ""),
    ],
)
def test_what_differs_from_one_to_the_next_is_left_out(error: str, reason: str) -> None:
    assert normalized(error) == reason


def test_a_long_reason_is_cut() -> None:
    assert len(normalized("so " * 1000)) == MAX_REASON


def at(minute: int, offset: int = 0, error: str = "not valid JSON") -> Found:
    """A dead letter that failed then."""
    made = found(offset, error=error)
    time = NOON + datetime.timedelta(minutes=minute)
    return made._replace(letter=msgspec.structs.replace(made.letter, time=time))


def test_groups_know_first_last_and_newest() -> None:
    groups = Groups()
    groups.add_all([at(2, 2), at(9, 9), at(1, 1), at(5, error="no text")])
    many, one = groups.ordered()
    assert (many.count, one.count, groups.total) == (3, 1, 4)
    assert (many.first.minute, many.last.minute) == (1, 9)
    assert many.newest.source == "news-0@9"


def test_of_one_time_the_last_is_the_newest() -> None:
    groups = Groups()
    groups.add_all([at(1, 1), at(1, 2)])
    [group] = groups.ordered()
    assert group.newest.source == "news-0@2"


def test_what_comes_after_so_many_reasons_is_counted() -> None:
    groups = Groups(most=2)
    groups.add_all(at(0, error=f"reason {'x' * n}") for n in range(5))
    groups.add(at(0, error="reason "))
    assert [group.count for group in groups.ordered()] == [2, 1]
    assert (groups.others, groups.total) == (3, 6)
