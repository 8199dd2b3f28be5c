"""ParseNews: from the bytes of a message to a news item."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import msgspec

from models.clean_up import clean_up_named
from models.settings import merged
from transforms.csv_rows import BadRow, detect_delimiter, fields_of
from transforms.dates import moment_of
from transforms.dead_letters import Step
from transforms.event_time import event_timestamp, of_element
from transforms.failures import PipelineFailure
from transforms.fields import FieldFinder, field_names
from transforms.news_settings import TEXT_FIELDS, TIME_FIELDS, NewsSettings
from transforms.records import DeadLetter, Message, NewsItem
from transforms.tally import TALLY

_DEFAULTS = {"id", *"|".join((*TEXT_FIELDS, TIME_FIELDS)).split("|")}

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
#: The times that Python knows, in microseconds since the epoch.
_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999


class NotNews(ValueError):
    """The message is no news item; says why."""


class UnreadableRecord(ValueError):
    """The source could not read the record whole; says where it stands, and why."""


#: Fields of an item are written again with its result. Encoding them here once, deeper than any sink
#: will, shows that they can be: a few levels below Python's recursion limit they could be read, but
#: not written under a deeper stack.
_NESTING_MARGIN = 100
_encoder = msgspec.json.Encoder()


class ParseNews(Step):
    """Parses messages into news items.

    Args:
        settings: Which fields they are, and the form of a message's bytes: a `json` object, plain
            `text`, or a `csv` row (whose column names come with the message, or are given).
        **given: Settings by name, in place of those in `settings`.

    Raises:
        ConfigurationError: A setting is none of its choices.
    """

    def __init__(self, settings: NewsSettings | None = None, **given: Any) -> None:
        super().__init__()
        settings = merged(NewsSettings, settings, given)
        self._format = settings.format or "json"
        self._clean_up = clean_up_named(settings.text_clean_up)
        self._columns, self._delimiter = settings.columns, settings.delimiter
        self._finder = FieldFinder(
            tuple(field_names(f, "text_fields") for f in settings.text_fields),
            field_names(settings.id_field, "id_field"),
            field_names(settings.time_field, "time_field"),
        )
        # That a default isn't there is no mistake.
        self._asked = self._finder.names - _DEFAULTS
        self._fail_fast = settings.fail_fast

    def process(self, element: Any, timestamp: Any = beam.DoFn.TimestampParam) -> Iterator[Any]:
        if self._fail_fast and TALLY.first.hopeless:
            raise all_dead(TALLY.first.hopeless)
        if not isinstance(element, DeadLetter):
            element = of_element(as_message(element), timestamp)
        yield from super().process(element)

    def message_of(self, record: Any) -> Message:
        return as_message(record)

    def apply(self, record: Any) -> NewsItem:
        message = as_message(record)
        if message.fault is not None:
            raise UnreadableRecord(f"{message.source} can't be read: {message.fault}")
        if not message.value:
            raise NotNews("the message is empty")
        fields = self._fields(message)
        if self._asked:
            TALLY.first.item(self._asked, fields)
        text = self._clean_up(self._text(fields))
        if not text.strip():
            raise NotNews("the text is empty")
        return NewsItem(
            message=message,
            id=self._id(fields, message),
            text=text,
            fields=fields,
            event_time=self._event_time(fields, message),
        )

    def _fields(self, message: Message) -> dict[str, Any]:
        assert message.value is not None
        if self._format == "text":
            return {"text": _utf8(message.value)}
        if self._format == "csv":
            return self._csv_row(message)
        try:
            fields = msgspec.json.decode(message.value)
        except (msgspec.MsgspecError, UnicodeDecodeError) as e:
            _utf8(message.value)
            raise NotNews(f"not valid JSON: {e}") from None
        except RecursionError:
            raise NotNews("the JSON is nested too deeply") from None
        if not isinstance(fields, dict):
            raise NotNews(f"a JSON {_json_type(fields)}, not an object")
        nested: Any = fields
        for _ in range(_NESTING_MARGIN):
            nested = (nested,)
        try:
            _encoder.encode(nested)
        except RecursionError:
            raise NotNews("the JSON is nested too deeply") from None
        return fields

    def _text(self, fields: dict[str, Any]) -> str:
        texts = self._finder.texts(fields)
        if texts is None:
            there = ", ".join(repr(name) for name in list(fields)[:6])
            raise NotNews(
                f"no text: the item has none of the fields {self._finder.wanted()}"
                + (f"; it has {there}" if there else "")
            )
        for name, value in texts:
            if not isinstance(value, str):
                raise NotNews(f"field {name!r} is a JSON {_json_type(value)}, not a string")
        return " ".join(value for _, value in texts)

    def _id(self, fields: dict[str, Any], message: Message) -> str:
        name, value = self._finder.id(fields)
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        # Spreadsheets and JavaScript write whole numbers so, too.
        if isinstance(value, float) and math.isfinite(value):
            return str(int(value)) if value.is_integer() else repr(value)
        if value is not None:
            raise NotNews(f"field {name!r} is a JSON {_json_type(value)}, not a string or a number")
        # The same after a restart, where the source has places; elements made in memory have none.
        return str(message.source or "")

    def _event_time(self, fields: dict[str, Any], message: Message) -> datetime.datetime:
        value = self._finder.time(fields)
        if value is not None:
            moment = moment_of(value)
            if moment is not None:
                return moment
            # It costs the item its time, not its category.
            TALLY.unreadable_time()
        # Python has no times before the year 1, nor after 9999.
        micros = min(max(event_timestamp(message).micros, _EARLIEST), _LATEST)
        return _EPOCH + datetime.timedelta(microseconds=micros)

    def _csv_row(self, message: Message) -> dict[str, Any]:
        assert message.value is not None
        columns = message.columns or self._columns
        if not columns:
            raise NotNews("a CSV row without column names: give columns")
        row = _utf8(message.value)
        delimiter = message.delimiter or self._delimiter
        if delimiter is None:
            delimiter = detect_delimiter(row, len(columns))
        try:
            found = fields_of(row, delimiter)
        except BadRow as e:
            raise NotNews(str(e)) from None
        if len(found) != len(columns):
            raise NotNews(f"{len(found)} CSV columns, not {len(columns)} as its header has")
        return dict(zip(columns, found, strict=True))


def all_dead(reason: str) -> PipelineFailure:
    """The end of a run, where `fail_fast` was asked for."""
    return PipelineFailure(f"all records are dead letters, for one reason: {reason}")


def as_message(element: Any) -> Message:
    """The message of an element: of a source's, or made of bytes, a string or a dict in memory.

    Raises:
        TypeError: The element is of another type.
    """
    if isinstance(element, Message):
        return element
    if isinstance(element, bytes):
        return Message(element)
    if isinstance(element, str):
        return Message(element.encode(errors="surrogatepass"))
    if isinstance(element, dict):
        return Message(_json_of(element))
    raise TypeError(
        f"can't parse news from a {type(element).__name__}: give Message, bytes, str or dict elements"
    )


def _json_of(element: dict[Any, Any]) -> bytes:
    """A dict as JSON; one that JSON can't express comes near enough to be recognized."""
    try:
        return msgspec.json.encode(element)
    except (TypeError, ValueError, msgspec.MsgspecError):
        # A lone surrogate stays one, as an escape; an object shows its repr, but is no string.
        return json.dumps(element, default=lambda o: {"repr": repr(o)}, skipkeys=True).encode()


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as e:
        raise NotNews(f"not UTF-8: byte 0x{value[e.start]:02x} at {e.start}") from None


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {dict: "object", list: "array", str: "string", int: "number", float: "number"}
    return names.get(type(value), type(value).__name__)
