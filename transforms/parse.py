"""ParseNews: from the bytes of a message to a news item."""

from __future__ import annotations

import csv
import datetime
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import apache_beam as beam
import msgspec

from transforms.dead_letters import Step
from transforms.errors import ConfigurationError
from transforms.event_time import event_timestamp, of_element
from transforms.records import DeadLetter, Message, NewsItem

Format = Literal["json", "text", "csv"]
FORMATS: tuple[str, ...] = ("json", "text", "csv")

#: What is classified, by default: the title, and the first of the others that an item has.
TEXT_FIELDS = ("title", "description|body|text")

# ---- text clean-up: the modes of Spark NLP's DocumentAssembler -------------------------------------

_BREAKS = re.compile(r"[\r\n\t\v\f\x85\u2028\u2029]+")
_WRITTEN_BREAKS = re.compile(r"(?:\\[rnt])+")
_SPACES = re.compile(r"\s+")


def _inplace(text: str) -> str:
    return _BREAKS.sub(" ", text)


def _inplace_full(text: str) -> str:
    return _BREAKS.sub(" ", _WRITTEN_BREAKS.sub(" ", text))


def _shrink(text: str) -> str:
    return _SPACES.sub(" ", text).strip()


def _shrink_full(text: str) -> str:
    return _shrink(_WRITTEN_BREAKS.sub(" ", text))


#: By name: `disabled` leaves the text as it is; `inplace` makes line breaks and tabs spaces; `shrink`
#: also makes runs of spaces one; the `_full` ones also take breaks that are written out (`\\n`).
CLEAN_UPS: dict[str, Callable[[str], str]] = {
    "disabled": lambda text: text,
    "inplace": _inplace,
    "inplace_full": _inplace_full,
    "shrink": _shrink,
    "shrink_full": _shrink_full,
}


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
        format: What a message's bytes are: a `json` object, plain `text`, or a `csv` row (whose
            column names come with the message).
        text_fields: The fields that make the text, joined by a space; `a|b` is the first of them
            that the item has. At least one must be there and hold more than spaces.
        id_field: The field that holds the id.
        time_field: The field that holds the time of publication (RFC 3339); a missing one is the
            message's own time.
        text_clean_up: One of `CLEAN_UPS`.

    Raises:
        ConfigurationError: A setting is none of its choices.
    """

    def __init__(
        self,
        format: str = "json",
        text_fields: Sequence[str] = TEXT_FIELDS,
        id_field: str = "id",
        time_field: str = "published",
        text_clean_up: str = "disabled",
    ) -> None:
        super().__init__()
        if format not in FORMATS:
            raise ConfigurationError(
                f"format={format!r} is unknown: give one of {', '.join(FORMATS)}"
            )
        if text_clean_up not in CLEAN_UPS:
            raise ConfigurationError(
                f"text_clean_up={text_clean_up!r} is unknown: give one of {', '.join(CLEAN_UPS)}"
            )
        if not text_fields:
            raise ConfigurationError("text_fields is empty: name at least one field")
        self._format = format
        self._text_fields = tuple(tuple(f.split("|")) for f in text_fields)
        self._id_field = id_field
        self._time_field = time_field
        self._text_clean_up = text_clean_up

    def process(self, element: Any, timestamp: Any = beam.DoFn.TimestampParam) -> Iterator[Any]:
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
        text = CLEAN_UPS[self._text_clean_up](self._text(fields))
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
            return _csv_row(message)
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
        parts = []
        for names in self._text_fields:
            for name in names:
                value = fields.get(name)
                if value is None:
                    continue
                if not isinstance(value, str):
                    raise NotNews(f"field {name!r} is a JSON {_json_type(value)}, not a string")
                parts.append(value)
                break
        if not parts:
            wanted = ", ".join(" or ".join(f) for f in self._text_fields)
            raise NotNews(f"no text: the item has none of the fields {wanted}")
        return " ".join(parts)

    def _id(self, fields: dict[str, Any], message: Message) -> str:
        value = fields.get(self._id_field)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if value is not None and value != "":
            kind = _json_type(value)
            raise NotNews(f"field {self._id_field!r} is a JSON {kind}, not a string or an integer")
        # The same after a restart, where the source has places; elements made in memory have none.
        return str(message.source or "")

    def _event_time(self, fields: dict[str, Any], message: Message) -> datetime.datetime:
        value = fields.get(self._time_field)
        if isinstance(value, str):
            try:
                moment = datetime.datetime.fromisoformat(value)
                if moment.tzinfo is None:
                    moment = moment.replace(tzinfo=datetime.UTC)
                return moment.astimezone(datetime.UTC)
            except (ValueError, OverflowError):
                pass  # A time that can't be read costs the item its time, not its category.
        # Python has no times before the year 1, nor after 9999.
        micros = min(max(event_timestamp(message).micros, _EARLIEST), _LATEST)
        return _EPOCH + datetime.timedelta(microseconds=micros)


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


def _csv_row(message: Message) -> dict[str, Any]:
    assert message.value is not None
    if not message.columns:
        raise NotNews("a CSV row without column names")
    try:
        rows = list(csv.reader(io.StringIO(_utf8(message.value), newline=""), strict=True))
    except csv.Error as e:
        raise NotNews(f"not valid CSV: {e}") from None
    if len(rows) != 1 or len(rows[0]) != len(message.columns):
        found = len(rows[0]) if len(rows) == 1 else f"{len(rows)} rows of"
        raise NotNews(f"{found} CSV columns, not {len(message.columns)} as its header has")
    return dict(zip(message.columns, rows[0], strict=True))


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {dict: "object", list: "array", str: "string", int: "number", float: "number"}
    return names.get(type(value), type(value).__name__)
