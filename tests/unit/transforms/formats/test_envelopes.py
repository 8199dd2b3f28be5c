"""Envelopes of Kafka Connect and Debezium, and fields by path."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from tests.unit.transforms.parsing import HERE, news, parse
from transforms.records import DeadLetter, Message

NOON = datetime.datetime(2024, 4, 3, 12, tzinfo=datetime.UTC)
BEGAN = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
#: The time of the record itself.
RECORD = BEGAN + datetime.timedelta(seconds=1_600_000_000)
ITEM = {"id": 7, "title": "Oil rises", "published": 1_712_145_600_000}


def of(value: Any) -> Message:
    return Message(json.dumps(value).encode(), source=HERE, timestamp=1_600_000_000_000)


def change(op: str = "c", **more: Any) -> dict[str, Any]:
    """A message of Debezium, without a schema."""
    source = {"connector": "postgresql", "table": "news", "ts_ms": 1_700_000_000_000}
    return {"before": None, "after": ITEM, "source": source, "op": op, "ts_ms": 1, **more}


def struct(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "struct", "fields": list(fields), **more}


def connect(payload: Any, schema: Any = None) -> dict[str, Any]:
    return {"schema": schema, "payload": payload}


def dead(value: Any, **settings: Any) -> DeadLetter:
    found = parse(of(value), **settings)
    assert isinstance(found, DeadLetter)
    assert found.message == of(value)
    return found


# ---- envelopes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        connect(ITEM, struct({"type": "string", "field": "title"})),
        change(),
        change("u"),
        change("r"),
        connect(change()),
        change(after=json.dumps(ITEM)),
    ],
    ids=["connect", "debezium", "update", "read", "debezium in connect", "mongodb"],
)
def test_an_item_in_an_envelope(message: dict[str, Any]) -> None:
    found = news(of(message))
    assert (found.id, found.text, found.event_time) == ("7", "Oil rises", NOON)
    assert found.fields == ITEM
    assert found.message == of(message)


def test_paths_from_outside_find_what_they_say() -> None:
    message = connect(change(before={"title": "Old"}))
    found = news(of(message), text_fields="payload.before.title", id_field="payload.after.id")
    assert (found.text, found.id, found.fields) == ("Old", "7", message)
    between = news(of(message), text_fields="after.title,before.title", id_field="after.id")
    assert (between.text, between.id) == ("Oil rises Old", "7")
    assert between.fields == message["payload"]


def test_what_the_item_lacks_is_looked_for_around_it() -> None:
    message = change(after={"title": "A"})
    found = news(of(message), time_field="published|source.ts_ms", id_field="id|source.table")
    assert found.event_time.timestamp() == 1_700_000_000
    assert (found.id, found.fields) == ("news", {"title": "A"})
    from_outside = news(of(message), id_field="after.title")
    assert from_outside.id == "A"


@pytest.mark.parametrize(
    ("message", "error_type", "error"),
    [
        (
            change("d", before=ITEM, after=None),
            "Deleted",
            "a delete (Debezium, op=d): it has no row after it",
        ),
        (
            {"source": {"table": "news"}, "op": "t", "ts_ms": 1},
            "Deleted",
            "a truncation (Debezium, op=t): it has no row after it",
        ),
        (
            connect(change("d", after=None)),
            "Deleted",
            "a delete (Debezium, op=d): it has no row after it",
        ),
        (
            change("u", after=None),
            "NotNews",
            "an update (Debezium, op=u): it has no row after it",
        ),
        (change("c", after="{"), "NotNews", "an insert (Debezium, op=c): it has no row after it"),
        (connect(None), "Deleted", "a tombstone (Kafka Connect): its payload is null"),
        (
            connect("text", {"type": "string"}),
            "NotNews",
            "the payload of its envelope (Kafka Connect) is a string, not an object",
        ),
        (
            connect({"headline": "A"}),
            "NotNews",
            "no text: the item has none of the fields title, description or body or text; it has "
            "'headline'",
        ),
    ],
)
def test_an_envelope_without_an_item(message: dict[str, Any], error_type: str, error: str) -> None:
    found = dead(message)
    assert (found.error_type, found.error) == (error_type, error)


@pytest.mark.parametrize("format", ["json", "text", "csv"])
def test_a_tombstone_is_a_delete_and_an_empty_message_none(format: str) -> None:
    for value, error_type in ((None, "Deleted"), (b"", "NotNews")):
        found = parse(Message(value), format=format)
        assert isinstance(found, DeadLetter)
        assert found.error_type == error_type


@pytest.mark.parametrize(
    "message",
    [
        {"schema": "s", "payload": {"title": "A"}, "title": "B"},
        {"op": "c", "source": {}, "after": {"title": "A"}, "text": "B"},
    ],
)
def test_what_has_a_text_is_in_no_envelope(message: dict[str, Any]) -> None:
    found = news(of(message))
    assert (found.text, found.fields) == ("B", message)


def test_what_looks_like_an_envelope_and_is_none() -> None:
    assert "it has 'schema', 'payload', 'more'" in dead(connect(ITEM) | {"more": 1}).error
    assert "it has 'op', 'source', 'after'" in dead({"op": 1, "source": {}, "after": ITEM}).error
    assert "it has 'op', 'source', 'after'" in dead({"op": "c", "source": "", "after": ITEM}).error


# ---- times by their types --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("io.debezium.time.Date", 19_816, NOON.replace(hour=0)),
        ("org.apache.kafka.connect.data.Date", 19_816, NOON.replace(hour=0)),
        ("io.debezium.time.Timestamp", 86_400_000, BEGAN + datetime.timedelta(1)),
        ("io.debezium.time.MicroTimestamp", 1_712_145_600_000_000, NOON),
        ("io.debezium.time.ZonedTimestamp", "2024-04-03T12:00:00Z", NOON),
        ("io.debezium.time.Timestamp", 10**30, RECORD),
    ],
)
def test_a_time_by_its_type(name: str, value: Any, expected: datetime.datetime) -> None:
    of_row = struct(
        {"type": "string", "field": "title"}, {"type": "int64", "name": name, "field": "published"}
    )
    row = {"title": "A", "published": value}
    plain = news(of(connect(row, of_row)))
    assert (plain.event_time, plain.fields) == (expected, row)
    schema = struct({**of_row, "field": "before"}, {**of_row, "field": "after"})
    assert news(of(connect(change(after=row), schema))).event_time == expected
    nested = connect({"title": "A", "meta": row}, struct({**of_row, "field": "meta"}))
    assert news(of(nested), time_field="meta.published").event_time == expected


@pytest.mark.parametrize("schema", [None, 1, "s", [], {"fields": 1}, {"fields": [1, {"field": 1}]}])
def test_a_schema_that_says_nothing(schema: Any) -> None:
    assert news(of(connect(ITEM, schema))).event_time == NOON


# ---- paths -----------------------------------------------------------------------------------------


def test_fields_by_path() -> None:
    message = {
        "data": {"Article": {"Headline": "Oil rises", "ids": [{"n": 5}, {"n": 6}]}},
        "meta": {"at": "2024-04-03T12:00:00Z"},
        "list": [["a"], {"title": "in a list"}],
    }
    found = news(
        of(message),
        text_fields="data.none|data.article.headline,list.1.title",
        id_field="data.article.IDS.1.n",
        time_field="meta.at",
    )
    assert (found.text, found.id, found.event_time) == ("Oil rises in a list", "6", NOON)
    assert found.fields == message


def test_a_field_of_that_very_name_comes_first() -> None:
    message = {"a.b": "whole", "a": {"b": "nested", "c": "x", "C": "y"}}
    assert news(of(message), text_fields="a.b").text == "whole"
    assert news(of(message), text_fields="A.B").text == "whole"
    assert news(of(message), text_fields="a.c").text == "x"
    # Two that may be meant are none.
    both = {"a": {"xY": "1", "Xy": "2"}}
    assert "no text" in dead(both, text_fields="a.xy").error


@pytest.mark.parametrize(
    "path", ["list.2", "list.-1", "list.x", "title.x", "none.x", "null.x", "list.", ".list", "n.0"]
)
def test_a_path_that_leads_nowhere(path: str) -> None:
    message = {"title": "A", "list": [1, 2], "null": None, "n": 5}
    found = news(of(message), text_fields="title", id_field=path)
    assert found.id == str(HERE)


def test_what_a_path_finds_has_to_be_text() -> None:
    error = dead({"a": {"b": [1]}}, text_fields="a.b").error
    assert error == "field 'a.b' is a JSON array, not a string"
    assert dead({"a": {"b": " "}}, text_fields="a.b").error == "the text is empty"


def test_a_path_that_no_item_has_is_told(caplog: pytest.LogCaptureFixture) -> None:
    from transforms.tally import TALLY

    for message in (connect(ITEM), {"title": "A", "a": {"b": 1}}):
        news(of(message), id_field="a.c", time_field="A.B|payload.published")
    TALLY.first.end()
    assert caplog.messages == [
        "no item has a field 'a.c': they have 'id', 'title', 'published', 'a'"
    ]
