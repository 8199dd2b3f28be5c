"""Rows for people: fitted to a width, and harmless to a terminal."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipeline import printing
from transforms.records import CategorizedItem, Message, dead_letter, now


def item(**fields: object) -> CategorizedItem:
    """A categorized item with these fields."""
    return CategorizedItem(
        "id", "World", 1.0, {}, (), 1, False, "m@1", now(), now(), None, dict(fields)
    )


@given(st.text())
def test_nothing_a_terminal_obeys_is_printed(text: str) -> None:
    shown = printing.printable(text)
    assert shown.isprintable()
    assert shown == shown.strip()


def test_escapes_bells_and_marks_of_direction_are_taken_out() -> None:
    assert printing.printable("a\x1b[31mb\x07\u202ec\r\nd") == "a [31mb c d"


@given(st.text(), st.integers(min_value=-3, max_value=60))
def test_fit_gives_the_width_it_is_asked_for(text: str, width: int) -> None:
    assert cell_len(printing.fit(printing.printable(text), width)) == max(0, width)


def test_fit_cuts_with_an_ellipsis_and_counts_wide_characters() -> None:
    assert printing.fit("abcdef", 4) == "abc…"
    assert printing.fit("ab", 4) == "ab  "
    assert printing.fit("東京株式", 5) == "東京…"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "(null)"),
        (b"", "(empty)"),
        (b" \t\n", "(blank)"),
        (b"\x00\x00", "(blank)"),
        (b"caf\xe9 {", "caf\N{REPLACEMENT CHARACTER} {"),
        (b"x" * 5000, "x" * printing.MAX_CHARACTERS),
    ],
)
def test_preview(value: bytes | None, shown: str) -> None:
    assert printing.preview(value) == shown


def test_headline_is_the_title_or_the_best_there_is() -> None:
    assert printing.headline(item(title="T", description="D")) == "T"
    assert printing.headline(item(title=" ", description="D")) == "D"
    assert printing.headline(item(title=7, text="X")) == "X"
    assert printing.headline(item(url="short", summary="the longest one")) == "the longest one"
    assert printing.headline(item(views=7)) == ""


def test_moment_is_utc() -> None:
    berlin = datetime.timezone(datetime.timedelta(hours=2))
    time = datetime.datetime(2026, 7, 1, 1, 30, 5, 999, tzinfo=berlin)
    assert printing.moment(time) == "2026-06-30 23:30:05"


def test_reason_names_type_and_error() -> None:
    letter = dead_letter(Message(b"x"), "ParseNews", ValueError("not\nJSON"))
    assert printing.reason(letter) == "ValueError: not JSON"
