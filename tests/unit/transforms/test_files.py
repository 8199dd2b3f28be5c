"""Files: cut into messages with their bytes intact, read by pattern, written whole."""

from __future__ import annotations

import csv
import gzip
import io
import resource
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from tests.unit import strategies
from tests.unit.running import local_pipeline
from transforms.files import (
    AppendToFile,
    ReadFromFiles,
    WriteToFile,
    _Append,
    messages_of,
    to_line,
)
from transforms.parse import ParseNews
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    FilePosition,
    Message,
    NewsItem,
    categorized_from_json,
    dead_letter,
    dead_letter_from_json,
)


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


# ---- reading files ---------------------------------------------------------------------------------


def test_files_by_pattern_plain_and_compressed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"n": 1}\n{"n": 2}\n')
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"n": 3}\n'))
    (tmp_path / "c.txt").write_bytes(b"not this one\n")
    with local_pipeline() as p:
        messages = p | ReadFromFiles(str(tmp_path / "*.jsonl*"), "json")
        found = messages | beam.Map(lambda m: (Path(m.source.file).name, m.source.line, m.value))
        assert_that(
            found,
            equal_to(
                [
                    ("a.jsonl", 1, b'{"n": 1}'),
                    ("a.jsonl", 2, b'{"n": 2}'),
                    ("b.jsonl.gz", 1, b'{"n": 3}'),
                ]
            ),
        )


def test_csv_files_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'3,"A",B\n')
    with local_pipeline() as p:
        messages = p | ReadFromFiles(str(tmp_path / "a.csv"), "csv", ("label", "title", "text"))
        found = messages | beam.Map(lambda m: (m.value, m.columns))
        assert_that(found, equal_to([(b'3,"A",B', ("label", "title", "text"))]))


# ---- writing files ---------------------------------------------------------------------------------


def outcomes() -> list[CategorizedItem | DeadLetter]:
    letter = dead_letter(Message(b"\xff\n", key=b"k"), "ParseNews", ValueError("no"))
    item = CategorizedItem(
        "1", "World", 1.0, {"World": 1.0}, ("World",), 3, False, "m@1",
        letter.time, letter.time, FilePosition("f", 1), {"title": "a\nb"}, Message(b"{}", key=b"k"),
    )  # fmt: skip
    return [letter, item, letter]


def check_written(lines: list[bytes], times: int = 1) -> None:
    letters = [line for line in lines if b'"error_type"' in line]
    items = [line for line in lines if line not in letters]
    letter = outcomes()[0]
    assert (len(letters), len(items)) == (2 * times, times)
    for line in letters:
        back = dead_letter_from_json(line)
        assert back.message == letter.message
    for line in items:
        back_item = categorized_from_json(line)
        assert back_item.id == "1"
        assert back_item.fields == {"title": "a\nb"}
        assert back_item.message is not None
        assert back_item.message.key == b"k"


@given(strategies.dead_letters | strategies.categorized_items)
def test_an_outcome_is_one_line(outcome: DeadLetter | CategorizedItem) -> None:
    assert b"\n" not in to_line(outcome)


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_a_bounded_stream_is_one_complete_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with local_pipeline() as p:
        _ = p | beam.Create(outcomes()) | WriteToFile(str(path))
    assert [f.name for f in tmp_path.iterdir()] == [name]
    data = path.read_bytes()
    check_written((gzip.decompress(data) if name.endswith(".gz") else data).splitlines())


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_an_unbounded_stream_is_appended(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for _ in range(2):
        with local_pipeline() as p:
            _ = p | beam.Create(outcomes()) | AppendToFile(str(path))
    data = path.read_bytes()
    check_written((gzip.decompress(data) if name.endswith(".gz") else data).splitlines(), times=2)


def test_a_file_that_cannot_be_written_fails_the_bundle(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="nowhere"), local_pipeline() as p:
        _ = p | beam.Create(outcomes()) | AppendToFile(str(tmp_path / "nowhere" / "out.jsonl"))


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    append = _Append(str(path))
    append([b"x" * 99 + b"\n"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            append([b"y" * 99 + b"\n"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"x" * 99 + b"\n"
    append([b"z\n"])
    assert path.read_bytes().endswith(b"x\nz\n")
