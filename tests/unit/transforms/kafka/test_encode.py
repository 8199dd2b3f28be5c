"""Outcomes as Kafka records: what they carry, and that each fits its topic."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given

from tests.unit import strategies
from transforms.kafka.encode import KafkaTopic, Outgoing, encode
from transforms.kafka.settings import KafkaSettings
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    KafkaPosition,
    Message,
    categorized_from_json,
    dead_letter,
    dead_letter_from_headers,
)
from transforms.tally import TALLY

SETTINGS = KafkaSettings("h:1", {})
TOPIC = KafkaTopic(SETTINGS, "out")
DEAD = KafkaTopic(SETTINGS, "dead")
NOW = datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)
MESSAGE = Message(
    b'{"title": "A"}',
    key=b"k",
    headers=(("traceparent", b"00-1"), ("newsbeam.stage", b"old")),
    timestamp=1_600_000_000_000,
    source=KafkaPosition("news", 1, 7),
)


def categorized(message: Message = MESSAGE, fields: int = 0) -> CategorizedItem:
    return CategorizedItem(
        "1", "World", 1.0, {"World": 1.0}, ("World",), 3, False, "m@1", NOW, NOW,
        message.source, {"x": "y" * fields}, message,
    )  # fmt: skip


def test_a_categorized_item_has_the_key_headers_and_time_of_its_message() -> None:
    record = encode(categorized(), TOPIC, DEAD)
    assert isinstance(record, Outgoing)
    assert record.topic == TOPIC
    assert (record.key, record.timestamp) == (b"k", 1_600_000_000_000)
    assert record.headers == (("traceparent", b"00-1"),)
    assert categorized_from_json(record.value or b"").category == "World"
    assert record.message == MESSAGE


@given(strategies.dead_letters)
def test_a_dead_letter_is_the_original_record_with_reasons(letter: DeadLetter) -> None:
    record = encode(letter, TOPIC, DEAD)
    assert isinstance(record, Outgoing)
    assert record.topic == DEAD
    original = letter.message
    assert record.value == (original.value if original.key is not None else original.value or b"")
    assert (record.key, record.timestamp) == (original.key, original.timestamp)
    back = dead_letter_from_headers(Message(record.value, record.key, record.headers))
    assert (back.stage, back.error, back.attempt) == (letter.stage, letter.error, letter.attempt)
    assert back.message.user_headers == original.user_headers


def test_without_a_topic_for_them_dead_letters_come_back() -> None:
    letter = dead_letter(MESSAGE, "ParseNews", ValueError("no"))
    assert encode(letter, TOPIC, None) == letter


def test_an_item_too_large_for_its_topic_is_a_dead_letter() -> None:
    record = encode(categorized(fields=5000), TOPIC._replace(max_bytes=1000), DEAD)
    assert isinstance(record, Outgoing)
    assert record.topic == DEAD
    assert record.value == MESSAGE.value
    headers = dict(record.headers)
    assert headers["newsbeam.error_type"] == b"MessageTooLarge"
    assert b"out" in (headers["newsbeam.error"] or b"")
    assert TALLY.snapshot().dead == 1


def test_a_dead_letter_too_large_for_its_topic_is_cut_and_says_so() -> None:
    letter = dead_letter(Message(b"x" * 5000, key=b"k"), "ParseNews", ValueError("no"))
    record = encode(letter, TOPIC, DEAD._replace(max_bytes=2000))
    assert isinstance(record, Outgoing)
    assert record.fits
    assert record.value
    assert set(record.value) == {ord("x")}
    assert dict(record.headers)["newsbeam.cut_from_bytes"] == b"5000"


@pytest.mark.parametrize(
    ("value", "key", "header"),
    [
        (1_048_400, 0, 0),
        (0, 1_048_400, 0),
        (0, 0, 1_048_400),
        (400_000, 648_000, 0),
        (400_000, 0, 648_000),
        (300_000, 300_000, 448_000),
    ],
)
def test_whatever_a_topic_could_hold_can_be_a_dead_letter(
    value: int, key: int, header: int
) -> None:
    message = Message(b"v" * value, key=b"k" * key, headers=(("h", b"h" * header),))
    assert Outgoing(TOPIC, message.value, message.key, message.headers, 0, message).fits
    record = encode(dead_letter(message, "ParseNews", ValueError("no")), TOPIC, DEAD)
    assert isinstance(record, Outgoing)
    assert record.fits


@pytest.mark.parametrize("key", [None, b"k"])
def test_a_tombstone_stays_one_where_it_can(key: bytes | None) -> None:
    record = encode(dead_letter(Message(None, key=key), "ParseNews", ValueError("no")), TOPIC, DEAD)
    assert isinstance(record, Outgoing)
    assert record.value == (None if key else b"")
