"""Text and CSV as news."""

from __future__ import annotations

import pytest

from tests.unit.transforms.parsing import HERE, news, refused
from transforms.records import Message

# ---- other formats ---------------------------------------------------------------------------------


def test_text() -> None:
    found = news(Message("Größe zählt".encode(), source=HERE), format="text")
    assert found.text == "Größe zählt"
    assert found.fields == {"text": "Größe zählt"}
    assert found.id == "news-2@40"


def test_csv() -> None:
    columns = ("id", "title", "description")
    found = news(Message(b'7,"A ""x""","B\n, C"', columns=columns), format="csv")
    assert found.text == 'A "x" B\n, C'
    assert found.fields == {"id": "7", "title": 'A "x"', "description": "B\n, C"}


def test_csv_rows_of_a_topic_have_the_columns_they_are_given() -> None:
    for row in (b"7,A,B", b"7;A;B", b"7\tA\tB"):
        found = news(row, format="csv", columns=["id", " title ", "text"])
        assert (found.id, found.text) == ("7", "A B")
    assert "3 CSV columns, not 2" in refused(b"7,A,B", format="csv", columns=["id", "title"])
    assert news(b"7;A,B", format="csv", columns=["id", "title"], delimiter=";").text == "A,B"


@pytest.mark.parametrize(
    ("row", "columns", "reason"),
    [
        (b"a,b", None, "without column names"),
        (b"a,b,c", ("id", "title"), "3 CSV columns, not 2"),
        (b"a", ("id", "title"), "1 CSV columns, not 2"),
        (b"a,b\nc,d", ("id", "title"), "2 rows"),
        (b'a,"b', ("id", "title"), "the quote at column 3 of the line never closes"),
        (b'a,"b" c', ("id", "title"), "the quote at column 3 of the line closes before the end"),
        (b'"a\nb","c', ("id", "title"), "the quote at column 4 of line 2 of the row never closes"),
        (b"a,\xff", ("id", "title"), "not UTF-8"),
    ],
)
def test_csv_rows_that_are_none(row: bytes, columns: tuple[str, ...] | None, reason: str) -> None:
    assert reason in refused(Message(row, columns=columns), format="csv")
