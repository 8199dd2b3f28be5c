"""ParseNews: what becomes a news item, what a dead letter, and that nothing else can happen."""

from __future__ import annotations

import datetime
import json
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import example, given
from hypothesis import strategies as st

from models.clean_up import CLEAN_UPS
from pipeline.demo.poison import POISON, PoisonMessage
from tests.unit import strategies
from tests.unit.running import local_pipeline
from tests.unit.transforms.parsing import HERE, news, parse, refused
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure, forget_failures
from transforms.parse import ParseNews
from transforms.records import DeadLetter, Message, NewsItem
from transforms.rows import FORMATS
from transforms.tally import TALLY


def item(**fields: Any) -> Message:
    return Message(json.dumps(fields).encode(), source=HERE, timestamp=1_600_000_000_000)


# ---- nothing is lost -------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
@given(strategies.messages)
def test_any_message_comes_out_once_and_whole(format: str, message: Message) -> None:
    assert parse(message, format=format).message == message


@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"\x00")
@example(b"{")
@example(b'{"title": "\\ud800"}')
@example(b'{"title": "a", "x": 1e999}')
@example(b'{"title": "a", "id": ' + b"9" * 5000 + b"}")
@example(b"[" * 100_000)
def test_any_bytes_come_out_whole(value: bytes) -> None:
    assert parse(value).message.value == value


@given(strategies.json_values)
def test_any_json_comes_out_whole(value: Any) -> None:
    encoded = json.dumps(value).encode()
    assert parse(encoded).message.value == encoded


@given(
    st.dictionaries(
        st.sampled_from(["id", "title", "description", "body", "text", "published"]),
        strategies.json_values,
    )
)
def test_any_item_with_our_fields_comes_out_whole(fields: dict[str, Any]) -> None:
    message = item(**fields)
    found = parse(message)
    assert found.message == message
    if isinstance(found, NewsItem):
        assert found.text.strip()
        assert found.fields.keys() == fields.keys()
        assert isinstance(found.event_time, datetime.datetime)


@given(st.text() | st.dictionaries(st.text(max_size=5), strategies.json_values | st.text()))
def test_any_string_or_dict_comes_out_once(element: str | dict[str, Any]) -> None:
    parse(element)


@pytest.mark.parametrize("element", [{"title": "half \ud83d"}, {"title": object()}, {"a": b"\xff"}])
def test_a_dict_that_json_cannot_express_is_a_dead_letter(element: dict[str, Any]) -> None:
    letter = parse(element)
    assert isinstance(letter, DeadLetter)
    assert letter.message.value


@pytest.mark.parametrize("poison", POISON, ids=lambda poison: poison.name)
def test_poison_goes_where_it_should(poison: PoisonMessage) -> None:
    found = parse(Message(poison.value, key=poison.key, source=HERE))
    assert found.message == Message(poison.value, key=poison.key, source=HERE)
    assert isinstance(found, DeadLetter) == (poison.expected == "dead_letter"), poison.why


def test_a_dead_letter_of_an_earlier_step_passes() -> None:
    letter = parse(b"{")
    TALLY.reset()
    assert list(ParseNews().process(letter)) == [letter]
    assert TALLY.snapshot().dead == 0


# ---- the text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"title": "A", "description": "B"}, "A B"),
        ({"title": "A", "body": "C"}, "A C"),
        ({"title": "A", "text": "D", "body": "C"}, "A C"),
        ({"title": "A"}, "A"),
        ({"text": "D"}, "D"),
        ({"title": None, "description": "B"}, "B"),
        ({"title": "A", "description": None, "body": "C"}, "A C"),
        ({"title": "Update", "description": "", "body": "C"}, "Update C"),
        ({"title": " \n", "description": "\t", "text": "D"}, "D"),
        ({"Title": "A", "DESCRIPTION": "B"}, "A B"),
        ({" title ": "A", "Body": "C"}, "A C"),
        ({"title": "A", "Title": "no", "BODY": "C"}, "A C"),
        # Which of them is meant can't be said.
        ({"TITLE": "A", "Title": "B", "text": "D"}, "D"),
    ],
)
def test_the_text_is_made_of_the_text_fields(fields: dict[str, Any], text: str) -> None:
    assert news(item(**fields)).text == text


def test_text_fields_can_be_chosen() -> None:
    found = news(item(headline="A", summary="B", title="no"), text_fields=["headline", "x|summary"])
    assert found.text == "A B"


def test_spaces_around_names_and_their_case_do_not_count() -> None:
    row = Message(b"3,Wall St.,Short", columns=("Class Index", "Title", "Description"))
    assert news(row, format="csv", text_fields=["title", " description | body"]).text == (
        "Wall St. Short"
    )
    assert news(item(a="A", b="B"), text_fields="a, b").text == "A B"


def test_a_name_that_no_item_has_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    TALLY.reset()
    step = ParseNews(text_fields=["title", "lead|summary"])
    for _ in range(1000):
        list(step.process({"title": "A", "Summary": "B"}))
    assert caplog.messages == [
        "no item of the first 1,000 has a field 'lead': they have 'title', 'Summary'"
    ]
    TALLY.reset()


def test_all_dead_for_one_reason_ends_the_run_where_asked() -> None:
    TALLY.reset()
    step, patient = ParseNews(fail_fast=True), ParseNews()
    for n in range(1000):
        list(step.process({"headline": n}))
    with pytest.raises(PipelineFailure, match=r"all records are dead.*it has 'headline'"):
        list(step.process({"title": "A"}))
    list(patient.process({"title": "A"}))
    TALLY.reset()
    forget_failures()


def test_all_fields_are_kept() -> None:
    fields = {"id": "1", "title": "A", "tags": ["x", {"y": [1.5, None]}], "n": 2**70}
    assert news(item(**fields)).fields == fields


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty"),
        (None, "a tombstone: the message has no value"),
        (b"\xff{}", "not UTF-8: byte 0xff at 0"),
        (b'{"title": "A"', "not valid JSON"),
        (b'["A"]', "a JSON array, not an object"),
        (b"null", "a JSON null, not an object"),
        (b"true", "a JSON boolean, not an object"),
        (b'{"title": 7}', "'title' is a JSON number"),
        (b'{"title": {"en": "A"}}', "'title' is a JSON object"),
        (b'{"id": "1"}', "title, description or body or text"),
        (b'{"title": " \\n "}', "the text is empty"),
        (b'{"title": "A", "id": [1]}', "'id' is a JSON array"),
        (b'{"title": "A", "id": true}', "'id' is a JSON boolean"),
        (b'{"title": "A", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
    ],
)
def test_the_reason_names_what_is_wrong(value: bytes | None, reason: str) -> None:
    assert reason in refused(Message(value))


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("disabled", " a\t b\r\nc \\n d "),
        ("inplace", " a  b c \\n d "),
        ("inplace_full", " a  b c   d "),
        ("shrink", "a b c \\n d"),
        ("shrink_full", "a b c d"),
    ],
)
def test_clean_up(mode: str, text: str) -> None:
    assert news(item(title=" a\t b\r\nc \\n d "), text_clean_up=mode).text == text


@given(st.sampled_from(sorted(CLEAN_UPS)), st.text())
def test_clean_up_twice_is_clean_up_once(mode: str, text: str) -> None:
    once = CLEAN_UPS[mode](text)
    assert CLEAN_UPS[mode](once) == once
    if mode.startswith("shrink"):
        assert once == " ".join(once.split())


def test_clean_up_leaves_the_fields_alone() -> None:
    assert news(item(title="a\n b"), text_clean_up="shrink").fields == {"title": "a\n b"}


# ---- id and time -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "id"),
    [
        ({"id": "x"}, "x"),
        ({"id": 42}, "42"),
        ({"id": 0}, "0"),
        ({"id": 2**65}, str(2**65)),
        ({"id": 123.0}, "123"),
        ({"id": -0.0}, "0"),
        ({"id": 1.5}, "1.5"),
        ({"id": 1e22}, str(10**22)),
        ({"ID": "x"}, "x"),
        ({"Id": 7}, "7"),
        ({"id": " "}, "news-2@40"),
    ],
)
def test_the_id_is_the_items(fields: dict[str, Any], id: str) -> None:
    assert news(item(title="A", **fields)).id == id


@pytest.mark.parametrize("fields", [{}, {"id": None}, {"id": ""}])
def test_an_id_that_is_missing_comes_from_the_place_in_the_source(fields: dict[str, Any]) -> None:
    assert news(item(title="A", **fields)).id == "news-2@40"


def test_the_fields_of_id_and_time_can_be_chosen() -> None:
    message = item(title="A", uid="u", at="2026-01-31T12:00:00Z", id="no", published="2000-01-01")
    found = news(message, id_field="uid", time_field="at")
    assert found.id == "u"
    assert found.event_time == datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00+00:00"),
        ("2026-01-31T12:00:00", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("yesterday", "2020-09-13T12:26:40+00:00"),
        ("0001-01-01T00:00:00+14:00", "2020-09-13T12:26:40+00:00"),
        (17, "2020-09-13T12:26:40+00:00"),
        ("Wed, 03 Apr 2024 10:00:00 GMT", "2024-04-03T10:00:00+00:00"),
        ("1712031212345", "2024-04-02T04:13:32.345000+00:00"),
        (1712031212, "2024-04-02T04:13:32+00:00"),
        ("2004", "2020-09-13T12:26:40+00:00"),
        (" ", "2020-09-13T12:26:40+00:00"),
        (None, "2020-09-13T12:26:40+00:00"),
    ],
)
def test_event_time_in_utc(published: Any, expected: str) -> None:
    assert news(item(title="A", published=published)).event_time.isoformat() == expected


@pytest.mark.parametrize("name", ["published", "publishedAt", "pubDate", "published_at", "Date"])
def test_known_names_of_the_time(name: str) -> None:
    assert news(item(title="A", **{name: "2024-04-03"})).event_time.year == 2024


def test_times_that_cannot_be_read_are_counted() -> None:
    TALLY.reset()
    for value in ("yesterday", True, 17, "", None, "2024-04-03"):
        news(item(title="A", published=value))
    assert TALLY.snapshot().unreadable_times == 3
    TALLY.reset()


def test_event_time_without_any_time_is_now() -> None:
    before = datetime.datetime.now(datetime.UTC)
    found = news(b'{"title": "A"}').event_time
    assert before <= found <= datetime.datetime.now(datetime.UTC)


@given(st.integers(-(2**63), 2**63 - 1))
def test_no_timestamp_of_a_message_breaks_it(timestamp: int) -> None:
    news(Message(b'{"title": "A"}', timestamp=timestamp))


# ---- settings, and in a pipeline -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"format": "xml"}, "'xml'"),
        ({"text_clean_up": "wash"}, "'wash'"),
        ({"text_fields": []}, "text_fields"),
        ({"text_fields": ["title", " "]}, "text_fields has an empty name"),
        ({"text_fields": ["title", "a||b"]}, "'a||b'".replace("|", "\\|")),
        ({"time_field": ""}, "time_field"),
        ({"columns": ["a", "a"]}, "'a' twice"),
        ({"delimiter": "ab"}, "'ab'"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        ParseNews(**settings)


def test_elements_of_other_types_are_a_mistake_of_the_pipeline() -> None:
    with pytest.raises(TypeError, match="float"):
        parse(1.5)


def _gist(record: NewsItem | DeadLetter) -> str:
    return record.text if isinstance(record, NewsItem) else record.error_type


def test_in_a_pipeline() -> None:
    elements = [
        b'{"title": "A"}',
        '{"title": "B"}',
        {"title": "C"},
        Message(b'{"title": "D"}'),
        b"{",
    ]
    with local_pipeline() as p:
        out = p | beam.Create(elements) | beam.ParDo(ParseNews())
        assert_that(out | beam.Map(_gist), equal_to(["A", "B", "C", "D", "NotNews"]))
    assert TALLY.snapshot().dead_letters == {"ParseNews": 1}
