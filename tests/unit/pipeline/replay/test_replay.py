"""Replaying: published before it is noted, left out and counted, to the limit and no further."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.replay.replay import Counts, Replay
from pipeline.replay.which import Sieve, WhichLetters
from pipeline.replay.words import of_columns, summary
from tests.unit.pipeline.replay.letters import InMemory, Written, letter, record
from transforms.records import Message

ALL = Sieve(WhichLetters())
RECORDS = [record(letter(n), n) for n in range(10)]


def test_all_of_them_in_order() -> None:
    letters, to = InMemory(RECORDS), Written()
    counts = Replay(letters, to, ALL).run()
    assert [m.key for m in to.messages] == [b"k%d" % n for n in range(10)]
    assert letters.noted == RECORDS
    assert letters.closed
    assert (counts.letters, counts.replayed, counts.left_out.total()) == (10, 10, 0)
    assert summary(counts, "T") == "replayed 10 of 10 dead letters to T"


def test_what_is_not_published_is_not_noted() -> None:
    letters, to = InMemory(RECORDS), Written(fails_at=b"k4")
    replay = Replay(letters, to, ALL)
    with pytest.raises(ConnectionError):
        replay.run()
    assert letters.noted == RECORDS[:3]
    assert replay.counts.replayed == 3
    to.fails_at = None
    Replay(letters, to, ALL).run()
    assert [m.key for m in to.messages] == [b"k%d" % n for n in range(10)]


def test_the_limit_is_kept_and_gone_on_from() -> None:
    letters, to = InMemory(RECORDS), Written()
    counts = Replay(letters, to, ALL, limit=4).run()
    assert (len(to.messages), letters.noted) == (4, RECORDS[:4])
    assert counts.at_limit
    assert summary(counts, "T") == "replayed 4 of 4 dead letters to T; ended at --limit"
    assert letters.closed


def test_what_is_left_out_does_not_count_to_the_limit_but_is_passed() -> None:
    odd = [record(letter(n, stage="Odd" if n % 2 else "Even"), n) for n in range(10)]
    letters, to = InMemory(odd), Written()
    counts = Replay(letters, to, Sieve(WhichLetters(stage=("Odd",))), limit=2).run()
    assert [m.key for m in to.messages] == [b"k1", b"k3"]
    assert letters.noted == odd[:4]
    assert "replayed 2 of 4 dead letters to T: 2 left out (2 by --stage)" in summary(counts, "T")


def test_each_is_counted_by_what_left_it_out() -> None:
    records = [
        record(letter(0), 0),
        record(letter(1, stage="Odd"), 1),
        record(letter(2, attempt=9), 2),
        record(letter(3), 3, ("newsbeam.cut_from_bytes", b"9")),
        record(letter(4), 4),
        Message(b"junk"),
    ]
    sieve = Sieve(WhichLetters(stage=("ParseNews",)), max_attempts=2)
    letters, to = InMemory(records), Written(refused=[b"k4"])
    counts = Replay(letters, to, sieve).run()
    assert [m.key for m in to.messages] == [b"k0"]
    assert letters.noted == records
    said = summary(counts, "T", left="stay")
    assert said.startswith("replayed 1 of 5 dead letters to T: 4 left out (")
    for part in ("1 by --stage", "1 by --max_attempts", "1 cut when", "1 not wanted here"):
        assert part in said
    assert "these stay; 1 record is no dead letter (the first: None is neither" in said


def test_a_dry_run_leaves_no_trace() -> None:
    letters = InMemory(RECORDS)
    counts = Replay(letters, None, ALL, limit=5).run()
    assert letters.noted == []
    assert counts.groups.total == counts.replayed == 5
    assert summary(counts, "T", dry_run=True).startswith("would replay 5 of 5 dead letters to T")


def test_it_can_be_stopped_after_a_batch() -> None:
    letters, to = InMemory(RECORDS), Written()
    watched: list[int] = []
    replay = Replay(
        letters, to, ALL, stop=lambda: len(to.messages) >= 6, watch=lambda c: watched.append(c.seen)
    )
    counts = replay.run()
    assert letters.noted == RECORDS[:6]
    assert watched == [3, 6]
    assert summary(counts, "T").endswith("interrupted: run it again to go on")


@pytest.mark.parametrize(
    ("columns", "note"),
    [
        (set(), None),
        ({("id", "title")}, "--columns id,title"),
        ({("id", "title"), ("a", "b")}, "--columns a,b, and 1 other sets of columns"),
    ],
    ids=["none", "one", "two"],
)
def test_rows_say_their_columns(columns: set[tuple[str, ...]], note: str | None) -> None:
    said: Any = of_columns(Counts(columns=columns))
    assert said is None if note is None else said.endswith(note)
