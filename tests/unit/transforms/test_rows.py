"""From lines to messages, with their bytes intact."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.csv_rows import cut_rows
from transforms.failures import PipelineFailure
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
@given(st.binary().filter(lambda data: b"[" not in data and b"{" not in data))
def test_every_line_that_is_not_blank_is_a_message(format: str, data: bytes) -> None:
    text = data.removeprefix(b"\xef\xbb\xbf")
    lines = text.split(b"\n" if b"\n" in text else b"\r")
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
    parse = ParseNews(format="csv", text_fields=["title|text|id"], id_field="none")
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
    parse = ParseNews(format="csv")
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
    assert [m.value for m in messages] == [b"1,A", b'2,"B', b"3,C"]
    [letter] = ParseNews(format="csv").process(messages[1])
    assert isinstance(letter, DeadLetter)
    assert "the quote at column 3 of the line never closes" in letter.error


def titles(data: bytes, columns: tuple[str, ...] | None = None, **more: str) -> list[str | None]:
    """The title of each row, in order; None where it is a dead letter."""
    parse = ParseNews(format="csv", text_fields=["title"])
    found: list[str | None] = []
    for message in messages_of(io.BytesIO(data), "f", "csv", columns, **more):
        [record] = parse.process(message)
        found.append(record.fields["title"] if isinstance(record, NewsItem) else None)
    return found


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # A quote within a field is a character.
        (b'1,Apple unveils 12" MacBook,Thin\n2,B,x\n3,C,x\n4,Samsung 55" TV,Fire\n',
         ['Apple unveils 12" MacBook', "B", "C", 'Samsung 55" TV']),
        (b'1,"A ""B""",x\n2,5" and 7" ,x\n', ['A "B"', '5" and 7" ']),
        # One that opens a field and never closes costs its own row.
        (b'1,"A,x\n2,B,x\n3,C,x\n', [None, "B", "C"]),
        (b'1,"A,x\n2,"B",x\n3,C,x\n', [None, "B", "C"]),
        (b'1,"A,x\n2,B,"x"\n', [None, "B"]),
        (b'1,A,x\n2,"B" more,x\n3,C,x\n', ["A", None, "C"]),
        (b'1,A,"x\n2,"B,x\n3,C,"x\n4,D,x', [None, None, None, "D"]),
        (b'"\n1,A,x\n', [None, "A"]),
        # So does one behind a field of several lines.
        (b'1,"A\n\nA","x\n2,B,x\n', [None, "B"]),
        # Fields over several lines are whole, whatever the line ends.
        (b'1,"A\r\nA",x\r\n2,B,"x\r\n"\r\n', ["A\r\nA", "B"]),
    ],
)  # fmt: skip
def test_a_stray_quote_costs_no_other_row(rows: bytes, expected: list[str | None]) -> None:
    assert titles(b"id,title,text\n" + rows) == expected
    assert titles(rows, ("id", "title", "text")) == expected


def test_stray_quotes_in_every_line_are_no_more_work_than_lines() -> None:
    reads = 0

    class Counted(bytes):
        def find(self, *args: Any) -> int:
            nonlocal reads
            reads += 1
            return super().find(*args)

    for line in (b'1,"A,x\n', b'1,"""A,x\n', b'1,A,"\n', b'"a""b\n'):
        reads = 0
        lines = [Counted(line) for _ in range(2000)]
        assert sum(row.count(b"\n") for _, row in cut_rows(lines, ",")) == 2000
        assert reads < 20 * 2000


def test_a_quote_that_never_closes_ends_at_the_largest_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transforms.csv_rows.MAX_ROW", 100)
    rows = b"".join(b"%d,B,x\n" % n for n in range(50))
    assert titles(b'0,"A,x\n' + rows, ("id", "title", "text")) == [None, *["B"] * 50]


def test_a_field_may_be_as_long_as_it_likes() -> None:
    text = "word " * 100_000
    assert titles(f'id,title\n1,{text}\n2,"{text}"\n'.encode()) == [text, text]


@pytest.mark.parametrize("format", ["json", "text"])
def test_lines_of_old_macs(format: str) -> None:
    messages = cut(b'{"id":1}\r{"id":2}\r\r{"id":3}', format)
    assert [m.value for m in messages] == [b'{"id":1}', b'{"id":2}', b'{"id":3}']
    # One that other line ends part may hold anything.
    assert [m.value for m in cut(b"{}\r \n{}\r\n", format)] == [b"{}\r ", b"{}"]


def test_line_ends_of_old_macs() -> None:
    messages = cut(b'id,title\r1,A\r2,"B\rb"\r', "csv")
    assert [m.value for m in messages] == [b"1,A", b'2,"B\rb"']
    assert titles(b'id,title\r1,A\r2,"B\rb"\r') == ["A", "B\rb"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_seen_from_the_first_row(delimiter: str) -> None:
    rows = [["id", "title", "text"], ["1", "a, b; c", "x"], ["2", 'say "b|c"', "y\tz"]]
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows(rows)
    data = file.getvalue().encode()
    assert titles(data) == ["a, b; c", 'say "b|c"']
    assert titles(data, delimiter=delimiter) == ["a, b; c", 'say "b|c"']
    body = data.partition(b"\n")[2]
    assert titles(body, ("id", "title", "text")) == ["a, b; c", 'say "b|c"']


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"3,Wall St. Bears,Short-sellers\n", "seems to be data.*columns=class,title,description"),
        (b"World,Wall St. Bears Claw Back Into the Black (Reuters) once more this week\n", "data"),
        (b"id,title,title\n1,A,B\n", "'title' is there more than once.*title_2"),
        (b'id,"title\n1,A\n', "no column names.*the quote at column 4"),
    ],
)
def test_a_header_that_is_odd_is_said(
    caplog: pytest.LogCaptureFixture, data: bytes, said: str
) -> None:
    cut(data, "csv")
    [line] = caplog.messages
    assert re.search(said, line)


def test_columns_of_one_name_are_both_kept() -> None:
    [message] = cut(b" id , title,title,title_2\n1,A,B,C\n", "csv")
    [record] = ParseNews(format="csv").process(message)
    assert isinstance(record, NewsItem)
    assert record.fields == {"id": "1", "title": "A", "title_3": "B", "title_2": "C"}


# ---- JSON documents --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "items", "expected"),
    [
        (b'[{"a":1},{"b":[2, "]"]}]', None, [b'{"a":1}', b'{"b":[2, "]"]}']),
        (b'[\n  {"a": 1},\n  {"b": "x\\"}"}\n]\n', None, [b'{"a": 1}', b'{"b": "x\\"}"}']),
        (b'\xef\xbb\xbf\n[{\n"a": 1}\n,{"b": 2}]', None, [b'{\n"a": 1}', b'{"b": 2}']),
        (b"[]\n", None, []),
        (b'[1, "x", null, {"a": 1}]', None, [b"1", b'"x"', b"null", b'{"a": 1}']),
        (b'[{"a":1}]\n{"b":2}\n{"c":3}', None, [b'{"a":1}', b'{"b":2}', b'{"c":3}']),
        (b'{\n  "title": "A",\n  "x": {}\n}\n', None, [b'{\n  "title": "A",\n  "x": {}\n}']),
        (b'{\n"a": 1\n}\n{\n"a": 2\n}\n', None, [b'{\n"a": 1\n}', b'{\n"a": 2\n}']),
        # A damaged line is one bad record, not the begin of a document.
        (b'{"title": "A"\n{"b":2}\n', None, [b'{"title": "A"', b'{"b":2}']),
        (b'["A"\n{"b":2}\n', None, [b'["A"', b'{"b":2}']),
        # A document that is cut off still gives what is whole, and its rest.
        (b'[\n{"a":1},\n{"b"', None, [b'{"a":1}', b'{"b"']),
        (b'{"n":2,"articles":[{"a":1},{"b":2}],"z":[3]}', "articles", [b'{"a":1}', b'{"b":2}']),
        (b'{"r": {"docs":\n[{"a":1}\n,{"docs":[2]}]}}', "r.docs", [b'{"a":1}', b'{"docs":[2]}']),
        (b'{"features":[{"properties":{"a":1}},\n{"properties":{"b":2}}]}',
         "features.properties", [b'{"a":1}', b'{"b":2}']),
    ],
)  # fmt: skip
def test_json_documents(data: bytes, items: str | None, expected: list[bytes]) -> None:
    messages = list(messages_of(io.BytesIO(data), "f", "json", items=items))
    assert [m.value for m in messages] == expected
    assert len(set(positions(messages))) == len(expected)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b'{"status":"ok","articles":[{"title":"A"}]}', "articles"),
        (b'{\n"status": "ok",\n"articles": [\n{"title": "A"}\n]\n}', "articles"),
        (b'{"type":"F","features":[{"properties":{"title":"A"}}]}', "features.properties"),
        (b'{"response":{"docs":[{"headline":"A"}]}}', "response.docs"),
        (b'{"title":"A feed","items":[{"title":"A"}]}', "items"),
    ],
)
def test_a_list_within_a_document_is_named_with_the_remedy(data: bytes, path: str) -> None:
    with pytest.raises(PipelineFailure, match=f"f is one JSON document.*give --items {path}$"):
        cut(data, "json")


def test_items_that_are_not_there_are_named() -> None:
    with pytest.raises(PipelineFailure, match=r"no list at 'news'.*'articles'"):
        list(messages_of([b'{"articles":[{"title":"A"}]}'], "f", "json", items="news"))


@pytest.mark.parametrize(
    "data",
    [b'{"title":"A","media":[{"title":"a picture"}]}', b'{"title":"A","tags":[{"name":"x"}]}'],
)
def test_a_record_with_a_list_is_a_record(data: bytes) -> None:
    assert [m.value for m in cut(data, "json")] == [data]


def test_the_first_record_of_a_pipe_does_not_wait_for_the_second() -> None:
    def lines() -> Iterator[bytes]:
        yield b'{"title":"A"}\n'
        pytest.fail("the second line was asked for")

    assert next(messages_of(lines(), "-", "json")).value == b'{"title":"A"}'
