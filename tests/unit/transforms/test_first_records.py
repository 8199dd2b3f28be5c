"""What the first records of a run say about how it was set up."""

from __future__ import annotations

import pytest

from transforms.first_records import FIRST, FirstRecords


def test_a_thousand_dead_letters_of_one_reason(caplog: pytest.LogCaptureFixture) -> None:
    first = FirstRecords()
    for n in range(FIRST - 1):
        first.result("ParseNews", f"{n} CSV columns, not 3 in 'x{n}'")
    assert first.hopeless is None
    first.result("ParseNews", "1 CSV columns, not 3 in 'y'")
    assert first.hopeless == "0 CSV columns, not 3 in 'x0'"
    first.result("ParseNews", "1 CSV columns, not 3 in 'z'")
    first.end()
    [line] = caplog.messages
    assert line == (
        "all of the first 1,000 records are dead letters of ParseNews, for one reason: "
        "0 CSV columns, not 3 in 'x0'"
    )


@pytest.mark.parametrize("other", [None, "another reason"])
def test_one_that_is_another_is_enough(other: str | None, caplog: pytest.LogCaptureFixture) -> None:
    first = FirstRecords()
    for n in range(2 * FIRST):
        first.result("ParseNews", other if n == 500 else "a reason")
    first.end()
    assert first.hopeless is None
    assert caplog.messages == []


def test_a_run_of_fewer_is_told_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    first = FirstRecords()
    first.result("ParseNews", None)
    for _ in range(3):
        first.result("TokenizeNews", "too long")
    first.end()
    assert first.hopeless == "too long"
    assert caplog.messages == [
        "all of the first 3 records are dead letters of TokenizeNews, for one reason: too long"
    ]


def test_a_field_that_no_item_has(caplog: pytest.LogCaptureFixture) -> None:
    first = FirstRecords()
    for n in range(FIRST + 5):
        there = ("title", "LEAD", f"late{'' if n == 700 else n}")
        first.item(
            {"headline", "lead", "late"}, there, {name.lower() for name in there}.__contains__
        )
    [line] = caplog.messages
    assert line.startswith("no item of the first 1,000 has a field 'headline': they have 'title', ")


def test_fields_of_a_run_of_fewer_are_told_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    first = FirstRecords()
    first.item({"a", "b"}, {"b": 1, "c": 2}, "bc".__contains__)
    first.end()
    first.end()
    assert caplog.messages == ["no item has a field 'a': they have 'b', 'c'"]
