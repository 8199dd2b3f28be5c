"""Outcomes as Kafka records: what they carry, and that each fits its topic."""

from __future__ import annotations

import base64
import datetime
import random

import pytest
from hypothesis import given
from kafka.errors import InvalidRecordError, MessageSizeTooLargeError

from tests.unit import strategies
from transforms.avro_items import AvroItems
from transforms.kafka.encode import KafkaTopic, Outgoing, encode
from transforms.kafka.faults import KafkaFailure
from transforms.kafka.producers import to_try_again
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
PLACE = KafkaPosition("news", 1, 7)
MESSAGE = Message(
    b'{"title": "A"}',
    key=b"k",
    headers=(("traceparent", b"00-1"), ("newsbeam.stage", b"old")),
    timestamp=1_600_000_000_000,
    source=PLACE,
)


def noise(size: int) -> str:
    """What no codec makes much smaller."""
    return base64.b64encode(random.Random(1).randbytes(size)).decode()


def categorized(message: Message = MESSAGE, fields: str = "") -> CategorizedItem:
    return CategorizedItem(
        "1", "World", 1.0, {"World": 1.0}, ("World",), 3, False, "m@1", NOW, NOW,
        message.source, {"x": fields}, message,
    )  # fmt: skip


def test_a_categorized_item_has_the_key_headers_and_time_of_its_message() -> None:
    record = encode(categorized(), TOPIC, DEAD)
    assert isinstance(record, Outgoing)
    assert record.topic == TOPIC
    assert (record.key, record.timestamp) == (b"k", 1_600_000_000_000)
    assert record.headers == (("traceparent", b"00-1"),)
    assert categorized_from_json(record.value or b"").category == "World"
    assert record.message == MESSAGE


def test_the_header_of_a_schema_goes_with_the_value_that_it_is_of() -> None:
    message = Message(b"v", headers=(("__value_schema_id", b"1"), ("__key_schema_id", b"2")))
    record = encode(categorized(message), TOPIC, DEAD)
    assert isinstance(record, Outgoing)
    assert record.headers == (("__key_schema_id", b"2"),)
    letter = encode(dead_letter(message, "ParseNews", ValueError("no")), TOPIC, DEAD)
    assert isinstance(letter, Outgoing)
    assert letter.headers[:2] == message.headers


def test_a_topic_says_how_its_items_are_encoded() -> None:
    record = encode(categorized(), TOPIC._replace(items=AvroItems(7)), DEAD)
    assert isinstance(record, Outgoing)
    assert (record.value or b"").startswith(b"\0\0\0\0\7")


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
    TALLY.categorized("World")
    record = encode(categorized(fields=noise(5000)), TOPIC._replace(max_bytes=1000), DEAD)
    assert isinstance(record, Outgoing)
    assert record.topic == DEAD
    assert record.value == MESSAGE.value
    headers = dict(record.headers)
    assert headers["newsbeam.error_type"] == b"MessageTooLarge"
    assert b"out" in (headers["newsbeam.error"] or b"")
    counts = TALLY.snapshot()
    assert (counts.categorized, counts.dead) == (0, 1)


def test_what_fits_compressed_goes_whole() -> None:
    record = encode(categorized(fields="y" * 5000), TOPIC._replace(max_bytes=1000), DEAD)
    assert isinstance(record, Outgoing)
    assert record.topic.name == "out"
    assert (record.fits_plain, record.fits) == (False, True)
    letter = dead_letter(Message(b"x" * 3_000_000), "ParseNews", ValueError("no"))
    record = encode(letter, TOPIC, DEAD)
    assert isinstance(record, Outgoing)
    assert record.value == b"x" * 3_000_000


def test_a_compacted_topic_takes_no_record_without_a_key() -> None:
    TALLY.categorized("World")
    compacted, message = TOPIC._replace(compacted=True), Message(b"{}", source=PLACE)
    record = encode(categorized(message), compacted, DEAD._replace(compacted=True))
    assert isinstance(record, Outgoing)
    assert (record.topic.name, record.key) == ("dead", b"news-1@7")
    headers = dict(record.headers)
    assert headers["newsbeam.error"] == (b"sink out is compacted and takes no record without a key")
    counts = TALLY.snapshot()
    assert (counts.categorized, counts.dead) == (0, 1)
    kept = encode(categorized(), compacted, DEAD)
    assert isinstance(kept, Outgoing)
    assert kept.topic.name == "out"


def retried(record: Outgoing | DeadLetter, error: Exception) -> Outgoing:
    assert isinstance(record, Outgoing)
    again = to_try_again(record, error)
    assert isinstance(again, Outgoing)
    return again


def test_what_brokers_refuse_is_a_dead_letter_and_that_gets_smaller_or_a_key() -> None:
    TALLY.categorized("World")
    too_large, invalid = MessageSizeTooLargeError(), InvalidRecordError("no key, no record")
    value = b"v" * 100_000
    record = retried(encode(categorized(Message(value, source=PLACE)), TOPIC, DEAD), too_large)
    assert (record.topic.name, record.value) == ("dead", value)
    assert TALLY.snapshot().categorized == 0
    cut = retried(record, too_large)
    while cut.value and len(cut.value) > 1024:
        cut = retried(cut, too_large)
    assert dict(cut.headers)["newsbeam.cut_from_bytes"] == b"100000"
    keyed = retried(record, invalid)
    assert (keyed.key, keyed.value) == (b"news-1@7", value)
    with pytest.raises(KafkaFailure, match=r"topic dead: .*no key, no record"):
        to_try_again(keyed, invalid)
    letter = to_try_again(encode(categorized(), TOPIC, None), too_large)
    assert isinstance(letter, DeadLetter)
    assert letter.message == MESSAGE


def test_a_dead_letter_too_large_for_its_topic_is_cut_and_says_so() -> None:
    letter = dead_letter(
        Message(noise(5000)[:5000].encode(), key=b"k"), "ParseNews", ValueError("no")
    )
    record = encode(letter, TOPIC, DEAD._replace(max_bytes=2000))
    assert isinstance(record, Outgoing)
    assert record.fits
    assert record.value
    assert noise(5000).encode().startswith(record.value)
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
