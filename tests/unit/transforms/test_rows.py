"""From lines to messages, with their bytes intact."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.parse import ParseNews
from transforms.records import DeadLetter, FilePosition, Message, NewsItem
from transforms.rows import messages_of


def cut(data: bytes, format: str, columns: tuple[str, ...] | None = None) -> list[Message]:
    return list(messages_of(io.BytesIO(data), "f", format, columns))


def positions(messages: list[Message]) -> list[int]:
    assert all(isinstance(m.source, FilePosition) and m.source.file == "f" for m in messages)
    return [m.source.line for m in messages if isinstance(m.source, FilePosition)]


# ---- cutting ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["json", "text"])
@given(st.binary())
def test_every_line_that_is_not_blank_is_a_message(format: str, data: bytes) -> None:
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    messages = cut(data, format)
    assert [m.value for m in messages] == [line.rstrip(b"\r") for line in lines if line.strip()]
    assert positions(messages) == [n for n, line in enumerate(lines, 1) if line.strip()]


def test_lines_with_blanks_between_and_no_end() -> None:
    messages = cut(b"\xef\xbb\xbf{}\r\n\n  \n{1}", "json")
    assert [m.value for m in messages] == [b"{}", b"{1}"]
    assert positions(messages) == [1, 4]


rows = st.lists(
    st.tuples(*[st.text(st.sampled_from('ab,"\n\r é'), max_size=8)] * 3).filter(
        lambda row: any(field.strip() for field in row)
    ),
    max_size=6,
)


@given(rows)
def test_csv_rows_come_out_as_they_were_written(rows: list[tuple[str, str, str]]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("id", "title", "text"), *rows])
    messages = cut(file.getvalue().encode(), "csv")
    assert all(m.columns == ("id", "title", "text") for m in messages)
    parse = ParseNews("csv", ["title|text|id"], id_field="none")
    found = []
    for message in messages:
        [record] = parse.process(message)
        if isinstance(record, NewsItem):
            found.append(tuple(record.fields.values()))
        else:
            assert record.error == "the text is empty"
            found.append(None)
    assert [got or row for got, row in zip(found, rows, strict=True)] == rows


@given(st.binary() | st.text(st.sampled_from('a,"\n\r')).map(str.encode))
def test_no_bytes_stop_a_csv_file(data: bytes) -> None:
    parse = ParseNews("csv")
    for message in cut(data, "csv"):
        [record] = parse.process(message)
        assert record.message == message


@given(st.binary() | st.text(st.sampled_from('a,"\n\r')).map(str.encode))
def test_no_byte_of_a_csv_file_is_lost(data: bytes) -> None:
    found = cut(data, "csv", ("a", "b"))
    blank = dict.fromkeys(b"\r\n \t\v\f")
    joined = b"".join(m.value or b"" for m in found)
    strip = bytes(blank)
    assert joined.translate(None, strip) == data.removeprefix(b"\xef\xbb\xbf").translate(
        None, strip
    )


def test_csv_with_a_header_and_rows_over_several_lines() -> None:
    messages = cut(b'id,title\r\n1,"A\nB"\n\n2,C\n', "csv")
    assert [m.value for m in messages] == [b'1,"A\nB"', b"2,C"]
    assert positions(messages) == [2, 5]
    assert {m.columns for m in messages} == {("id", "title")}


def test_csv_without_a_header_has_the_columns_it_is_given() -> None:
    messages = cut(b"1,A\n2,B\n", "csv", ("id", "title"))
    assert [(m.value, m.columns) for m in messages] == [
        (b"1,A", ("id", "title")),
        (b"2,B", ("id", "title")),
    ]


def test_a_quote_that_is_never_closed_is_one_bad_row() -> None:
    messages = cut(b'id,title\n1,A\n2,"B\n3,C\n', "csv")
    assert [m.value for m in messages] == [b"1,A", b'2,"B\n3,C']
    [letter] = ParseNews("csv").process(messages[1])
    assert isinstance(letter, DeadLetter)


def test_a_header_that_is_no_csv_leaves_rows_that_are_dead_letters() -> None:
    # Line ends of old Macs: to Python, all of it is one line.
    messages = cut(b"id,title\r1,A\r2,B\r", "csv")
    letters = [record for m in messages for record in ParseNews("csv").process(m)]
    assert letters
    assert all(isinstance(letter, DeadLetter) for letter in letters)
