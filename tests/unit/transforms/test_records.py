"""Records: their JSON forms, the headers of dead letters, and what a message knows of itself."""

from __future__ import annotations

import base64
import datetime
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit import strategies
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    FilePosition,
    KafkaPosition,
    Message,
    categorized_from_json,
    categorized_to_json,
    dead_letter,
    dead_letter_from_headers,
    dead_letter_from_json,
    dead_letter_headers,
    dead_letter_to_json,
)

MOMENT = datetime.datetime(2026, 1, 31, 12, 30, tzinfo=datetime.UTC)


def categorized(message: Message | None = None) -> CategorizedItem:
    return CategorizedItem(
        id="n-1",
        category="Sports",
        score=0.75,
        scores={"Sports": 0.75, "World": 0.25},
        labels=("Sports",),
        tokens=12,
        truncated=False,
        model="ag_news_small@0123abcd",
        event_time=MOMENT,
        processed_time=MOMENT,
        source=KafkaPosition("news", 3, 41),
        fields={"id": "n-1", "title": "Cup final"},
        message=message,
    )


# ---- categorized items -----------------------------------------------------------------------------


def test_json_of_a_categorized_item_field_by_field() -> None:
    assert json.loads(categorized_to_json(categorized())) == {
        "id": "n-1",
        "category": "Sports",
        "score": 0.75,
        "scores": {"Sports": 0.75, "World": 0.25},
        "labels": ["Sports"],
        "tokens": 12,
        "truncated": False,
        "model": "ag_news_small@0123abcd",
        "event_time": "2026-01-31T12:30:00Z",
        "processed_time": "2026-01-31T12:30:00Z",
        "source": {"type": "kafka", "topic": "news", "partition": 3, "offset": 41},
        "fields": {"id": "n-1", "title": "Cup final"},
    }


@given(strategies.categorized_items)
def test_categorized_items_survive_json(item: CategorizedItem) -> None:
    line = categorized_to_json(item)
    assert b"\n" not in line
    assert categorized_from_json(line) == msgspec.structs.replace(item, message=None)


@given(strategies.categorized_items)
def test_the_envelope_adds_key_and_headers(item: CategorizedItem) -> None:
    back = categorized_from_json(categorized_to_json(item, envelope=True)).message
    message = item.message
    if message is None or (message.key is None and not message.headers):
        assert back is None
    else:
        assert back is not None
        assert (back.key, back.headers) == (message.key, message.headers)


def test_without_the_envelope_neither_key_nor_headers_show() -> None:
    item = categorized(Message(b"{}", key=b"k", headers=(("traceparent", b"00-1"),)))
    assert json.loads(categorized_to_json(item)).keys().isdisjoint({"key", "headers", "message"})


@pytest.mark.parametrize("field", ["id", "category", "scores", "event_time", "fields"])
def test_what_is_no_categorized_item_says_which_field_is_missing(field: str) -> None:
    record = json.loads(categorized_to_json(categorized()))
    del record[field]
    with pytest.raises(msgspec.ValidationError, match=field):
        categorized_from_json(json.dumps(record))


def test_fields_that_come_later_are_no_error() -> None:
    record = json.loads(categorized_to_json(categorized()))
    assert categorized_from_json(json.dumps(record | {"added_in_2030": 1})) == categorized()


# ---- dead letters ----------------------------------------------------------------------------------


@given(strategies.dead_letters)
def test_dead_letters_survive_json(letter: DeadLetter) -> None:
    back = dead_letter_from_json(dead_letter_to_json(letter))
    message = msgspec.structs.replace(letter.message, follows=None)
    assert back == msgspec.structs.replace(letter, message=message)


@given(strategies.dead_letters)
def test_dead_letters_survive_kafka_headers(letter: DeadLetter) -> None:
    carried = msgspec.structs.replace(letter.message, headers=dead_letter_headers(letter))
    assert dead_letter_from_headers(carried) == letter


def test_the_json_of_a_dead_letter_holds_its_bytes_as_base64() -> None:
    letter = dead_letter(
        Message(b"\xff\x00", source=FilePosition("a", 7)), "ParseNews", ValueError()
    )
    record = json.loads(dead_letter_to_json(letter))
    assert base64.b64decode(record["value"]) == b"\xff\x00"
    assert record["source"] == {"type": "file", "file": "a", "line": 7}


def test_headers_name_the_reasons() -> None:
    message = Message(b"x", headers=(("traceparent", b"00-1"),), source=KafkaPosition("news", 0, 5))
    headers = dict(dead_letter_headers(dead_letter(message, "ParseNews", ValueError("no text"))))
    assert headers["traceparent"] == b"00-1"
    assert headers["newsbeam.stage"] == b"ParseNews"
    assert headers["newsbeam.error_type"] == b"ValueError"
    assert headers["newsbeam.error"] == b"no text"
    assert headers["newsbeam.attempt"] == b"1"
    assert headers["newsbeam.source"] == b"news-0@5"


def test_replaying_a_dead_letter_counts_attempts_and_keeps_one_set_of_headers() -> None:
    message = Message(b"x", headers=(("traceparent", b"00-1"),))
    for attempt in (1, 2, 3):
        letter = dead_letter(message, "ParseNews", ValueError("no"))
        assert letter.attempt == attempt
        message = msgspec.structs.replace(message, headers=dead_letter_headers(letter))
    names = [name for name, _ in message.headers]
    assert len(names) == len(set(names))


@given(st.binary(max_size=12) | st.integers(0, 10**9).map(lambda n: b"9" * (n % 6000)) | st.none())
def test_whatever_the_attempt_header_holds_there_is_a_dead_letter(value: bytes | None) -> None:
    message = Message(b"x", headers=(("newsbeam.attempt", value),))
    assert dead_letter(message, "ParseNews", ValueError()).attempt >= 1


def test_an_error_is_one_line_of_bounded_length() -> None:
    letter = dead_letter(Message(b"x"), "ParseNews", ValueError("a\n\n  b" + "c" * 9000))
    assert letter.error.startswith("a bc")
    assert len(letter.error) <= 1000


def test_an_error_without_a_message_gives_its_class() -> None:
    letter = dead_letter(Message(b"x"), "ParseNews", KeyError())
    assert letter.error
    assert letter.error_type == "KeyError"


def test_a_record_without_our_headers_is_no_dead_letter() -> None:
    message = Message(b"x", headers=(("a", b"b"),), source=KafkaPosition("t", 1, 2))
    with pytest.raises(ValueError, match=r"t-1@2.*newsbeam\.stage"):
        dead_letter_from_headers(message)


# ---- messages --------------------------------------------------------------------------------------


def test_user_headers_leave_ours_out() -> None:
    message = Message(b"", headers=(("a", b"1"), ("newsbeam.stage", b"x"), ("a", None)))
    assert message.user_headers == (("a", b"1"), ("a", None))


@pytest.mark.parametrize(
    ("position", "text"),
    [(KafkaPosition("news", 2, 9), "news-2@9"), (FilePosition("in.jsonl", 3), "in.jsonl:3")],
)
def test_positions_as_text(position: KafkaPosition | FilePosition, text: str) -> None:
    assert str(position) == text


def test_records_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        categorized().category = "World"  # type: ignore[misc]
