"""Dead letters as they are found in records, and the messages that they were."""

from __future__ import annotations

import datetime

import msgspec
import pytest

from pipeline.replay.found import NoDeadLetter, found_in
from tests.unit.pipeline.replay.letters import NOON, letter, record
from tests.unit.pipeline.test_consume import item
from transforms.records import (
    FilePosition,
    KafkaPosition,
    Message,
    categorized_to_json,
    dead_letter,
    dead_letter_to_json,
)

ATTEMPT = ("newsbeam.attempt", b"1")


def test_the_message_is_as_it_was_and_says_how_often_it_failed() -> None:
    dead = letter(7)
    again = found_in(record(dead)).again()
    was = dead.message
    assert (again.value, again.key, again.timestamp) == (was.value, was.key, was.timestamp)
    assert again.headers == (*was.headers, ATTEMPT)
    # The next dead letter of it counts on.
    assert dead_letter(again, "ParseNews", ValueError()).attempt == 2


def test_of_a_file_too() -> None:
    dead = letter(7, attempt=3)
    in_file = found_in(Message(dead_letter_to_json(dead), source=FilePosition("dead.jsonl", 1)))
    again = in_file.again()
    assert again.headers == (*dead.message.headers, ("newsbeam.attempt", b"3"))
    assert (again.value, again.key, again.timestamp) == (
        dead.message.value,
        dead.message.key,
        dead.message.timestamp,
    )
    assert in_file.source == "news-0@7"


def test_where_its_message_stood() -> None:
    assert found_in(record(letter(7))).source == "news-0@7"
    unsaid = msgspec.structs.replace(letter(7).message, source=None)
    nowhere = record(msgspec.structs.replace(letter(7), message=unsaid))
    assert found_in(nowhere).source == ""


def test_a_key_that_a_compacted_topic_asked_for_is_none() -> None:
    keyless = msgspec.structs.replace(letter(7).message, key=None)
    of_topic = record(msgspec.structs.replace(letter(7), message=keyless))
    given = msgspec.structs.replace(of_topic, key=b"news-0@7")
    assert found_in(given).again().key is None


@pytest.mark.parametrize("name", ["cut_from_bytes", "cut_attributes"])
def test_what_was_cut_says_so(name: str) -> None:
    assert found_in(record(letter(), 0, (f"newsbeam.{name}", b"99"))).cut
    assert not found_in(record(letter())).cut


@pytest.mark.parametrize(
    ("strange", "what"),
    [
        (Message(b"{", source=KafkaPosition("dead", 0, 4)), "dead-0@4 is neither"),
        (Message(None, source=KafkaPosition("dead", 0, 4)), "tombstone"),
        (
            Message(categorized_to_json(item(0)), source=KafkaPosition("out", 0, 4)),
            "out-0@4 is a categorized item",
        ),
    ],
    ids=["junk", "tombstone", "categorized"],
)
def test_what_is_none_is_named(strange: Message, what: str) -> None:
    with pytest.raises(NoDeadLetter, match=what):
        found_in(strange)


def test_a_time_without_a_zone_is_utc() -> None:
    of_others = Message(
        b"x", headers=(("newsbeam.stage", b"S"), ("newsbeam.time", b"2026-02-01T12:00:00"))
    )
    assert found_in(of_others).letter.time == NOON
    assert found_in(of_others).letter.time.tzinfo == datetime.UTC
