"""Parquet: columns that users like, read back as what was written."""

from __future__ import annotations

import datetime
import decimal
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import strategies
from tests.unit.transforms.files.reading_back import items_of
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure, forget_failures
from transforms.files.archives import OpenFile, open_text
from transforms.files.parquet import ROW_GROUP, schema_of, write_rows
from transforms.files.parquet_lines import ParquetLines
from transforms.files.progress import Part
from transforms.files.read import Cut, FileSource
from transforms.files.write import to_line
from transforms.records import CategorizedItem, DeadLetter, FilePosition


def parquet(kind: str, lines: list[bytes]) -> bytes:
    file = io.BytesIO()
    write_rows(file, kind, lines)
    return file.getvalue()


@settings(max_examples=60)
@given(st.lists(strategies.categorized_items, max_size=4))
def test_items(items: list[CategorizedItem]) -> None:
    lines = [to_line(item) for item in items]
    data = parquet("news", lines)
    assert [line.rstrip(b"\n") for line in ParquetLines(io.BytesIO(data))] == lines
    assert [item.id for item in items_of("x.parquet", data)] == [item.id for item in items]


@settings(max_examples=60)
@given(st.lists(strategies.dead_letters, max_size=4))
def test_dead_letters(letters: list[DeadLetter]) -> None:
    lines = [to_line(letter) for letter in letters]
    data = parquet("dead-letters", lines)
    assert [line.rstrip(b"\n") for line in ParquetLines(io.BytesIO(data))] == lines
    table = pq.read_table(io.BytesIO(data))
    assert table["value"].to_pylist() == [letter.message.value for letter in letters]


def test_types() -> None:
    items, letters = schema_of("news"), schema_of("dead-letters")
    assert items.field("scores").type == pa.map_(pa.string(), pa.float64())
    assert items.field("event_time").type == pa.timestamp("us", tz="UTC")
    assert items.field("fields").type == pa.string()
    assert items.field("labels").type == pa.list_(pa.string())
    assert items.field("source").type.field("offset").type == pa.int64()
    assert items.field("key").type == pa.binary()
    assert letters.field("value").type == pa.binary()
    assert letters.field("time").type == pa.timestamp("us", tz="UTC")
    assert items.names[:4] == ["id", "category", "score", "scores"]


def test_row_groups_bound_memory() -> None:
    [line] = [to_line(strategies_item())]
    data = parquet("news", [line] * (ROW_GROUP + 1))
    found = pq.ParquetFile(io.BytesIO(data))
    assert [found.metadata.row_group(i).num_rows for i in range(found.num_row_groups)] == [
        ROW_GROUP,
        1,
    ]


def strategies_item() -> CategorizedItem:
    time = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)
    return CategorizedItem(
        "1", "World", 1.0, {"World": 1.0}, ("World",), 3, False, "m@1", time, time,
        FilePosition("f", 1), {"title": "a"},
    )  # fmt: skip


# ---- others' files as news -------------------------------------------------------------------------


def test_rows_of_any_parquet_are_messages(tmp_path: Path) -> None:
    path = tmp_path / "news.parquet"
    time = datetime.datetime(2026, 11, 27, 10, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "title": pa.array(["a", "b"]),
            "at": pa.array([time, None], pa.timestamp("ns", tz="UTC")),
            "tags": pa.array([[("x", 1)], None], pa.map_(pa.string(), pa.int64())),
            "price": pa.array([decimal.Decimal("1.50"), None]),
            "nested": pa.array([{"deep": [1, 2]}, None]),
        }
    )
    pq.write_table(table, path)
    reader = FileSource([str(path)], Cut("json")).reader("files")
    reader.resume(None)
    messages = reader.poll(0, 100).messages
    assert [m.source for m in messages] == [FilePosition(str(path), n) for n in (1, 2)]
    assert json.loads(messages[0].value or b"") == {
        "title": "a",
        "at": "2026-11-27T10:00:00Z",
        "tags": {"x": 1},
        "price": "1.50",
        "nested": {"deep": [1, 2]},
    }
    assert json.loads(messages[1].value or b"")["title"] == "b"


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    data = parquet("news", [to_line(strategies_item())])
    path.write_bytes(data[:-20])
    with pytest.raises(PipelineFailure, match=r"x.parquet is damaged: .*get it again"):
        OpenFile(str(path))
    forget_failures()


def test_its_text_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet("news", []))
    with (
        pytest.raises(ConfigurationError, match="is a Parquet file: convert it"),
        open_text(path),
    ):
        pass


# ---- one file --------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False])
def test_a_part_becomes_one_parquet_file(tmp_path: Path, there: bool) -> None:
    part = Part(str(tmp_path / "out.parquet"))
    if there:
        Path(part.path).write_bytes(to_line(strategies_item()) + b"\n")
    part.put_in_place()
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    found = list(items_of("out.parquet", (tmp_path / "out.parquet").read_bytes()))
    assert [item.id for item in found] == ["1"] * there
    with OpenFile(str(tmp_path / "out.parquet")) as file:
        assert list(file.lines()) == [to_line(strategies_item()) + b"\n"] * there


def test_an_empty_file_of_dead_letters_has_their_columns(tmp_path: Path) -> None:
    Part(str(tmp_path / "dead.parquet"), "dead-letters").put_in_place()
    assert pq.read_schema(tmp_path / "dead.parquet").names == schema_of("dead-letters").names
