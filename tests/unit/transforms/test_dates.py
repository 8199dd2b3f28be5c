"""Times of publication in the spellings of feeds, exports and spreadsheets."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.strategies import json_values
from transforms.dates import moment_of

TEN = "2024-04-03T10:00:00+00:00"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-04-03T10:00:00Z", TEN),
        ("2024-04-03T10:00:00.000Z", TEN),
        ("2024-04-03T12:00:00+02:00", TEN),
        ("2024-04-03 12:00:00 +0200", TEN),
        ("2024-04-03 10:00:00 UTC", TEN),
        ("2024-04-03 10:00", TEN),
        (" 2024-04-03T10:00:00 ", TEN),
        ("2024-04-03", "2024-04-03T00:00:00+00:00"),
        ("Wed, 03 Apr 2024 10:00:00 GMT", TEN),
        ("Wed, 3 Apr 2024 10:00:00 +0000", TEN),
        ("3 Apr 2024 06:00:00 EDT", TEN),
        ("Wed Apr 03 10:00:00 2024", TEN),
        ("Wed Apr 03 10:00:00 +0000 2024", TEN),
        ("20240403100000", TEN),
        (20240403100000, TEN),
        ("202404031000", TEN),
        ("20240403", "2024-04-03T00:00:00+00:00"),
        ("20240403T100000Z", TEN),
        ("2024/04/03 10:00:00", TEN),
        ("April 3, 2024", "2024-04-03T00:00:00+00:00"),
        (1712138400, TEN),
        (1712138400.0, TEN),
        ("1712138400", TEN),
        ("1712138400.5", "2024-04-03T10:00:00.500000+00:00"),
        (1712138400000, TEN),
        ("1712138400000", TEN),
        (1712138400000000, TEN),
        ("1712138400000000000", TEN),
        ("1712031212345", "2024-04-02T04:13:32.345000+00:00"),
    ],
)
def test_times(value: Any, expected: str) -> None:
    found = moment_of(value)
    assert found is not None
    assert found.isoformat() == expected


@pytest.mark.parametrize(
    "value",
    [
        "yesterday", "May", "10:00", "2004", 2004, 17, 0, -1, "", "nan", float("nan"), float("inf"),
        True, [], {}, "2026-02-30", "0001-01-01T00:00:00+14:00", "20241399", "9" * 400, 10**40,
        "Wed, 3 Apr 2024 10:00:00 CEST", "03/04/2024", "1712-03-12",
    ],
)  # fmt: skip
def test_what_is_no_time_or_may_be_several(value: Any) -> None:
    assert moment_of(value) is None


@given(json_values | st.text(st.sampled_from("0123456789-:TZ+. ,AprWed"), max_size=30))
def test_anything_is_a_time_in_utc_or_none(value: Any) -> None:
    found = moment_of(value)
    assert found is None or found.tzinfo is datetime.UTC
