"""Folders by category and time, as Hive's readers take them."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit import strategies
from transforms.files.partitions import NULL, escape, group_of
from transforms.records import CategorizedItem, DeadLetter

_EAST = datetime.timezone(datetime.timedelta(hours=9))


@given(strategies.categorized_items)
def test_an_item(item: CategorizedItem) -> None:
    time = datetime.datetime(2026, 11, 28, 3, 59, tzinfo=_EAST)
    item = msgspec.structs.replace(item, category="Sci/Tech", event_time=time)
    assert group_of(item, ()) == ("news", "")
    assert group_of(item, ("category", "hour")) == (
        "news",
        "category=Sci%2FTech/hour=2026-11-27T18",
    )
    assert group_of(item, ("date",)).folder == "date=2026-11-27"
    assert group_of(item, ("day",)).folder == "day=2026-11-27"


@given(strategies.dead_letters)
def test_a_dead_letter(letter: DeadLetter) -> None:
    time = datetime.datetime(2026, 11, 27, 3, tzinfo=datetime.UTC)
    letter = msgspec.structs.replace(letter, stage="ParseNews", time=time)
    assert group_of(letter, ("stage", "hour")) == (
        "dead-letters",
        "stage=ParseNews/hour=2026-11-27T03",
    )
    assert group_of(letter, ("category",)).folder == f"category={NULL}"


_VALUES = {
    "plain": "World",
    "slash": "Sci/Tech",
    "percent": "50%",
    "equals": "a=b",
    "space": "a b",
    "dots": "..",
    "ends": " a. ",
    "umlauts": "Ämter & Öl",
    "other scripts": "日本",
    "line end": "a\nb",
    "pattern": "*?[x]",
    "escape": "%2F",
}


@pytest.mark.parametrize("value", _VALUES.values(), ids=_VALUES)
def test_pyarrow_reads_it_back(tmp_path: Path, value: str) -> None:
    folder = tmp_path / f"category={escape(value)}"
    folder.mkdir()
    pq.write_table(pa.table({"n": [1]}), folder / "x.parquet")
    back = ds.dataset(str(tmp_path), partitioning="hive").to_table().to_pylist()
    assert back == [{"n": 1, "category": value}]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_value_is_one_name(value: str) -> None:
    name = "category=" + escape(value)
    assert "/" not in name
    assert os.path.basename(name) == name
    assert len(name.encode()) < 255
    assert name.isprintable() or all(ord(c) > 127 or c.isprintable() for c in name)


def test_long_values_stay_apart() -> None:
    assert escape("ä" * 500) != escape("ä" * 501)
    assert escape("/" * 500) != escape("/" * 501)
