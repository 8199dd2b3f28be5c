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
from transforms.dates import moment_of
from transforms.dead_letters import Step
from transforms.event_time import event_micros, of_element
from transforms.failures import PipelineFailure
from transforms.fields import FieldFinder, field_names
from transforms.formats.decoder import NotNews, json_type
from transforms.formats.envelopes import Deleted
from transforms.formats.named import decoder_named
from transforms.items import Item, item_of
from transforms.news_settings import TEXT_FIELDS, TIME_FIELDS, NewsSettings
from transforms.records import DeadLetter, Message, NewsItem
from transforms.schema_registry.settings import SchemaRegistry
from transforms.tally import TALLY

_DEFAULTS = {"id", *"|".join((*TEXT_FIELDS, TIME_FIELDS)).split("|")}

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
#: The times that Python knows, in microseconds since the epoch.
_EARLIEST, _LATEST = -62_135_596_800_000_000, 253_402_300_799_999_999


class UnreadableRecord(ValueError):
    """The source could not read the record whole; says where it stands, and why."""


class ParseNews(Step):
    """Parses messages into news items.

    Args:
        settings: Which fields they are, and the form of a message's bytes: a `json` object, plain
            `text`, a `csv` row (whose column names come with the message, or are given), or `avro`
            or `protobuf` of a schema registry. Where an object has none of the text fields, the
            envelopes of Kafka Connect and Debezium are opened.
        **given: Settings by name, in place of those in `settings`.

    Raises:
        ConfigurationError: A setting is none of its choices.
    """

    def __init__(self, settings: NewsSettings | None = None, **given: Any) -> None:
        super().__init__()
        settings = merged(NewsSettings, settings, given)
        self._clean_up = clean_up_named(settings.text_clean_up)
        registry = settings.schema_registry
        self._decoder = decoder_named(
            settings.format or "json",
            settings.columns,
            settings.delimiter,
            SchemaRegistry.of(registry) if isinstance(registry, str) else registry,
        )
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
        if message.value is None:
            raise Deleted("a tombstone: the message has no value")
        if not message.value:
            raise NotNews("the message is empty")
        item = item_of(self._decoder.decode(message), self._finder)
        if self._asked:
            there = item.fields.all
            TALLY.first.item(self._asked, there, lambda name: item.has(self._finder, name))
        text = self._clean_up(self._text(item))
        if not text.strip():
            raise NotNews("the text is empty")
        return NewsItem(
            message=message,
            id=self._id(item, message),
            text=text,
            fields=item.fields.all,
            event_time=self._event_time(item, message),
        )

    def _text(self, item: Item) -> str:
        if item.texts is None:
            there = ", ".join(repr(name) for name in list(item.fields.all)[:6])
            raise NotNews(
                f"no text: the item has none of the fields {self._finder.wanted()}"
                + (f"; it has {there}" if there else "")
            )
        for name, value in item.texts:
            if not isinstance(value, str):
                raise NotNews(f"field {name!r} is a JSON {json_type(value)}, not a string")
        return " ".join(value for _, value in item.texts)

    def _id(self, item: Item, message: Message) -> str:
        name, value = item.id(self._finder)
        if isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        # Spreadsheets and JavaScript write whole numbers so, too.
        if isinstance(value, float) and math.isfinite(value):
            return str(int(value)) if value.is_integer() else repr(value)
        if value is not None:
            raise NotNews(f"field {name!r} is a JSON {json_type(value)}, not a string or a number")
        # The same after a restart, where the source has places; elements made in memory have none.
        return str(message.source or "")

    def _event_time(self, item: Item, message: Message) -> datetime.datetime:
        value = item.time(self._finder)
        if value is not None:
            moment = moment_of(value)
            if moment is not None:
                return moment
            # It costs the item its time, not its category.
            TALLY.unreadable_time()
        # Python has no times before the year 1, nor after 9999.
        micros = min(max(event_micros(message), _EARLIEST), _LATEST)
        return _EPOCH + datetime.timedelta(microseconds=micros)


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
