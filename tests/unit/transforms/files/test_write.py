"""Files: cut into messages with their bytes intact, read by pattern, written whole."""

from __future__ import annotations

import gzip
import resource
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given

from tests.unit import strategies
from tests.unit.running import local_pipeline
from transforms.failures import PipelineFailure, forget_failures
from transforms.files.read import ReadFromFiles
from transforms.files.write import FileSink, WriteToFile, _Append, to_line
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    FilePosition,
    Message,
    categorized_from_json,
    dead_letter,
    dead_letter_from_json,
)
from transforms.writing import ALL, WriteOutcomes

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
            _ = p | beam.Create(outcomes()) | WriteOutcomes(FileSink(str(path)), ALL)
    data = path.read_bytes()
    check_written((gzip.decompress(data) if name.endswith(".gz") else data).splitlines(), times=2)


def test_a_file_that_cannot_be_written_fails_the_bundle(tmp_path: Path) -> None:
    sink = FileSink(str(tmp_path / "nowhere" / "out.jsonl"))
    what = "nowhere/out.jsonl can't be written any further: No such file"
    with pytest.raises(Exception, match=what), local_pipeline() as p:
        _ = p | beam.Create(outcomes()) | WriteOutcomes(sink, ALL)


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    forget_failures()
    path = tmp_path / "out.jsonl"
    append = _Append(str(path))
    append([b"x" * 99 + b"\n"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
    try:
        with pytest.raises(
            PipelineFailure, match=r"out.jsonl can't be written any further: File too large"
        ):
            append([b"y" * 99 + b"\n"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"x" * 99 + b"\n"
    append([b"z\n"])
    assert path.read_bytes().endswith(b"x\nz\n")
    forget_failures()


def test_half_a_line_of_a_run_that_was_killed_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"id":"1"}\n{"id":"2')
    append = _Append(str(path))
    append([b'{"id":"2"}\n'])
    append([b'{"id":"3"}\n'])
    assert path.read_bytes().splitlines() == [
        b'{"id":"1"}', b'{"id":"2', b'{"id":"2"}', b'{"id":"3"}',
    ]  # fmt: skip
