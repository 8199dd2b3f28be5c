"""Outcomes as messages: what is added, what is cut, what is a dead letter."""

from __future__ import annotations

import datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.unit import strategies
from transforms.pubsub.attributes import MAX_VALUE, excess, from_attributes
from transforms.pubsub.client import PubSubSettings
from transforms.pubsub.encode import (
    CUT_PAYLOAD,
    OURS,
    Outgoing,
    PubSubTopic,
    cut_further,
    encode,
)
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    Headers,
    Message,
    categorized_from_json,
    categorized_to_json,
    dead_letter,
    dead_letter_from_headers,
)

TOPIC = PubSubTopic(PubSubSettings(emulator="127.0.0.1:1"), "p", "out")


def item(message: Message | None = None, id: str = "i1") -> CategorizedItem:
    time = datetime.datetime(2024, 5, 1, 10, tzinfo=datetime.UTC)
    return CategorizedItem(
        id=id, category="Sports", score=0.93456, scores={"Sports": 0.93456}, labels=("Sports",),
        tokens=3, truncated=False, model="m@1", event_time=time, processed_time=time,
        source=None, fields={}, message=message,
    )  # fmt: skip


def letter(value: bytes | None, headers: Headers = (), error: str = "no") -> DeadLetter:
    message = Message(value, headers=headers, timestamp=1_700_000_000_000)
    return dead_letter(message, "ParseNews", ValueError(error))


def outgoing(outcome: CategorizedItem | DeadLetter, topic: PubSubTopic = TOPIC) -> Outgoing:
    found = encode(outcome, topic)
    assert isinstance(found, Outgoing)
    return found


def test_an_item_is_json_and_has_what_filters_need() -> None:
    one = item(Message(b"{}", headers=(("a", b"1"), ("score", b"5"))))
    carried = outgoing(one).carried
    assert carried.data == categorized_to_json(one)
    assert carried.attributes == {
        "a": "1",
        "newsbeam.header.1.score": "text:5",
        "category": "Sports",
        "score": "0.9346",
        "model": "m@1",
        "event_time": "2024-05-01T10:00:00+00:00",
        "id": "i1",
    }


def test_an_id_too_long_for_an_attribute_stands_in_the_json_only() -> None:
    carried = outgoing(item(id="é" * 513)).carried
    assert "id" not in carried.attributes
    assert categorized_from_json(carried.data).id == "é" * 513


@given(strategies.categorized_items)
def test_whatever_an_item_has_is_kept_or_it_is_a_dead_letter(one: CategorizedItem) -> None:
    found = encode(one, TOPIC)
    if isinstance(found, DeadLetter):
        assert found.error_type == "MessageTooLarge"
        return
    assert excess(found.carried) is None
    assert categorized_from_json(found.carried.data) == msgspec.structs.replace(one, message=None)
    back = from_attributes(*found.carried)
    if one.message is not None:
        assert back.key == one.message.key
        kept = [h for h in back.headers if h[0] not in OURS or h in one.message.user_headers]
        assert all(header in kept for header in one.message.user_headers)


def test_what_exceeds_a_limit_is_a_dead_letter_with_the_original() -> None:
    for message in (
        Message(b"x", headers=tuple((f"h{i}", b"") for i in range(101))),
        Message(b"x", headers=(("a", b"v" * 1025),)),
        Message(b"x", headers=(("n" * 257, b""),)),
    ):
        found = encode(item(message), TOPIC)
        assert isinstance(found, DeadLetter)
        assert found.stage == "WriteToPubSub"
        assert found.error_type == "MessageTooLarge"
        assert "topic out does not take its result" in found.error
        assert found.message is message
        # And it can be written as such.
        carried = outgoing(found).carried
        assert excess(carried) is None
        assert carried.data == b"x"
        assert carried.attributes["newsbeam.cut_attributes"]
        assert carried.attributes["newsbeam.stage"] == "WriteToPubSub"


@given(strategies.dead_letters)
def test_dead_letters_come_back(one: DeadLetter) -> None:
    carried = outgoing(one).carried
    assert excess(carried) is None
    content = from_attributes(*carried)
    message = Message(content.value, content.key, content.headers, content.timestamp)
    back = dead_letter_from_headers(message)
    assert back.message.value == one.message.value
    assert back.message.key == one.message.key
    assert sorted(back.message.headers, key=str) == sorted(one.message.user_headers, key=str)
    assert back.message.timestamp == one.message.timestamp
    assert (back.stage, back.error, back.attempt) == (one.stage, one.error, one.attempt)
    assert back.time == one.time


def test_long_reasons_are_cut() -> None:
    carried = outgoing(letter(b"x", error="é" * 1000)).carried
    assert carried.attributes["newsbeam.error"] == "é" * (MAX_VALUE // 2)


def test_a_dead_letter_too_large_is_cut_and_says_so() -> None:
    carried = outgoing(letter(b"x" * 11_000_000, headers=(("a", b"1"),))).carried
    assert carried.data == b"x" * CUT_PAYLOAD
    assert carried.attributes["newsbeam.cut_from_bytes"] == "11000000"
    assert carried.attributes["a"] == "1"


@given(st.lists(st.tuples(strategies.words, st.binary(max_size=2000)), min_size=80, max_size=150))
def test_reasons_are_kept_whatever_else_is_cut(headers: list[tuple[str, bytes | None]]) -> None:
    carried = outgoing(letter(None, tuple(headers))).carried
    assert excess(carried) is None
    assert {"newsbeam.stage", "newsbeam.error", "newsbeam.time"} <= carried.attributes.keys()


def test_what_is_refused_all_the_same_is_cut_further_once() -> None:
    carried = outgoing(letter(b"x" * 100_000, headers=(("a", b"1"),))).carried
    smaller = cut_further(carried)
    assert smaller is not None
    assert len(smaller.data) == CUT_PAYLOAD
    assert "a" not in smaller.attributes
    assert smaller.attributes["newsbeam.stage"] == "ParseNews"
    assert cut_further(smaller) is None


def test_ordering_keys_where_asked_for() -> None:
    topic = PubSubTopic(TOPIC.settings, "p", "out", ordering=True)
    assert outgoing(item(Message(b"x", key=b"k")), topic).carried.ordering_key == "k"
    plain = outgoing(item(Message(b"x", key=b"k"))).carried
    assert plain.ordering_key == ""
    assert plain.attributes["newsbeam.key"] == "text:k"
