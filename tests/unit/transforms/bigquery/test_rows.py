"""Outcomes as rows: each fits its table, and says what was in it."""

from __future__ import annotations

import base64
import datetime
import json

import msgspec
import pytest
from hypothesis import given

from tests.servers.bigquery import misfit
from tests.unit.strategies import categorized_items, dead_letters
from transforms.bigquery.rows import LARGEST_LETTER, insert_id, size_of, to_row
from transforms.bigquery.schema import ITEM_COLUMNS, LETTER_COLUMNS
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    KafkaPosition,
    Message,
    Outcome,
    dead_letter,
)

MOMENT = datetime.datetime(2026, 1, 31, 12, 0, 0, 5000, datetime.UTC)
MESSAGE = Message(
    b'{"id":1}\xff', b"k\xff", (("h", b"\x00"), ("n", None)), 7, KafkaPosition("t", 1, 2)
)
ITEM = CategorizedItem(
    id="1",
    category="Sports",
    score=0.75,
    scores={"Sports": 0.75, "World": 0.25},
    labels=("Sports",),
    tokens=5,
    truncated=False,
    model="m@1",
    event_time=MOMENT,
    processed_time=MOMENT,
    source=MESSAGE.source,
    fields={"id": 1, "big": 2**70},
    message=MESSAGE,
)


@given(categorized_items | dead_letters)
def test_any_row_fits_its_table(outcome: Outcome) -> None:
    columns = LETTER_COLUMNS if isinstance(outcome, DeadLetter) else ITEM_COLUMNS
    row = json.loads(json.dumps(to_row(outcome)))
    assert row.keys() == {column.name for column in columns}
    assert misfit(row, [column.field().to_api_repr() for column in columns]) is None


def test_an_item() -> None:
    row = to_row(ITEM)
    assert json.loads(row.pop("fields")) == {"id": 1, "big": str(2**70)}
    assert json.loads(row.pop("source")) == {
        "type": "kafka", "topic": "t", "partition": 1, "offset": 2,
    }  # fmt: skip
    assert row == {
        "key": base64.b64encode(b"k\xff").decode(),
        "headers": [{"name": "h", "value": "AA=="}, {"name": "n", "value": None}],
        "id": "1",
        "category": "Sports",
        "score": 0.75,
        "scores": [{"label": "Sports", "score": 0.75}, {"label": "World", "score": 0.25}],
        "labels": ["Sports"],
        "tokens": 5,
        "truncated": False,
        "model": "m@1",
        "event_time": "2026-01-31T12:00:00.005000Z",
        "processed_time": "2026-01-31T12:00:00.005000Z",
    }


def test_a_dead_letter_is_whole() -> None:
    row = to_row(dead_letter(MESSAGE, "ParseNews", ValueError("no")))
    assert base64.b64decode(row["value"]) == MESSAGE.value
    assert (row["stage"], row["error_type"], row["error"]) == ("ParseNews", "ValueError", "no")
    assert (row["timestamp"], row["attempt"]) == (7, 1)


@pytest.mark.parametrize("headers", [True, False], ids=["many_headers", "one_header"])
@pytest.mark.parametrize("key", [True, False], ids=["large_key", "small_key"])
@pytest.mark.parametrize("size", [10, LARGEST_LETTER * 3 // 4, LARGEST_LETTER])
def test_a_dead_letter_that_is_too_large_is_cut(size: int, key: bool, headers: bool) -> None:
    message = Message(
        b"x" * size,
        b"k" * (LARGEST_LETTER if key else 1),
        (("h", b"v" * 2000),) * (3000 if headers else 1),
    )
    row = to_row(dead_letter(message, "ParseNews", ValueError("no")))
    assert size_of(row) <= LARGEST_LETTER
    kept = base64.b64decode(row["value"])
    assert message.value is not None
    assert message.value.startswith(kept)
    assert (len(kept) < size) == (f"value cut: it has {size} bytes" in row["error"])
    # No more is cut than has to be.
    assert len(kept) == size or size_of(row) > LARGEST_LETTER - 1000
    assert (row["headers"] == []) == headers == ("headers left out" in row["error"])
    assert (row["key"] is None) == key == ("key left out" in row["error"])


def test_a_row_is_known_again_until_the_model_changes() -> None:
    replace = msgspec.structs.replace
    own = insert_id(ITEM)
    assert own is not None
    assert len(own) <= 128
    assert own.isascii()
    assert insert_id(replace(ITEM, score=0.5, processed_time=MOMENT.replace(year=2027))) == own
    others = [
        replace(ITEM, model="m@2"),
        replace(ITEM, source=KafkaPosition("t", 1, 3)),
        # The same place of another cluster's topic, or of one that was made anew.
        replace(ITEM, message=replace(MESSAGE, value=b"{}")),
        replace(ITEM, message=replace(MESSAGE, key=b"")),
        replace(ITEM, message=replace(MESSAGE, timestamp=8)),
        dead_letter(MESSAGE, "ParseNews", ValueError("no")),
    ]
    assert len({own, *map(insert_id, others)}) == 1 + len(others)
    assert insert_id(replace(ITEM, source=None)) is None
