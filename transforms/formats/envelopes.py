"""Envelopes around items: of Kafka Connect's JSON converter, and of Debezium.

    {"schema": {…}, "payload": {"before": null, "after": {"title": …}, "source": {…}, "op": "c", …}}

An envelope is opened only where the message as a whole has none of the text fields: so nobody has to
say that there is one, and paths from its outside (`payload.after.title`) find what they say.
"""

from __future__ import annotations

import datetime
from typing import Any, NamedTuple

from transforms.fields import Fields
from transforms.formats.decoder import NotNews, json_type
from transforms.formats.plain import json_object

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
#: What Connect and Debezium call numbers that are times, and what they count.
_COUNTED = {
    "io.debezium.time.Date": datetime.timedelta(days=1),
    "org.apache.kafka.connect.data.Date": datetime.timedelta(days=1),
    "io.debezium.time.Timestamp": datetime.timedelta(milliseconds=1),
    "org.apache.kafka.connect.data.Timestamp": datetime.timedelta(milliseconds=1),
    "io.debezium.time.MicroTimestamp": datetime.timedelta(microseconds=1),
}
#: What Debezium calls the changes of a row.
_CHANGES = {
    "c": "an insert", "u": "an update", "r": "a read", "d": "a delete", "t": "a truncation",
    "m": "a message",
}  # fmt: skip
_GONE = {"d", "t"}


class Deleted(NotNews):
    """The message says that an item was deleted: there is nothing to classify."""


class Layer(NamedTuple):
    """A message, or what is in its envelope.

    Attributes:
        fields: Its fields.
        schema: What Connect says of their types; None where it says nothing.
    """

    fields: Fields
    schema: Any = None

    def time(self, field: str, value: Any) -> Any:
        """The value of a field, or path, as a time where its type is known to be one; else as it is."""
        if self.schema is None or isinstance(value, bool) or not isinstance(value, int):
            return value
        unit = _COUNTED.get(_type_name(self.schema, field))
        try:
            return value if unit is None else (_EPOCH + value * unit).isoformat()
        except OverflowError:
            return value


class Envelope(NamedTuple):
    """A message in an envelope.

    Attributes:
        layers: The message, then what is in it, from outside in.
        without: Why there is no item in the last; None where there is one.
    """

    layers: tuple[Layer, ...]
    without: NotNews | None = None


def opened(message: dict[str, Any]) -> Envelope | None:
    """Opens the envelope of a message; None where it is in none."""
    layers = [Layer(Fields(message))]
    if message.keys() == {"schema", "payload"}:
        payload, schema = message["payload"], message["schema"]
        if payload is None:
            tombstone = Deleted("a tombstone (Kafka Connect): its payload is null")
            return Envelope(tuple(layers), tombstone)
        if not isinstance(payload, dict):
            why = f"the payload of its envelope (Kafka Connect) is a {json_type(payload)}, not an object"
            return Envelope(tuple(layers), NotNews(why))
        layers.append(Layer(Fields(payload), schema))
    change, schema = layers[-1].fields.all, layers[-1].schema
    if not _is_change(change):
        return Envelope(tuple(layers)) if len(layers) > 1 else None
    after = _row(change.get("after"))
    if after is None:
        op = change["op"]
        why = f"{_CHANGES.get(op, 'a change')} (Debezium, op={op}): it has no row after it"
        gone = op in _GONE
        return Envelope(tuple(layers), Deleted(why) if gone else NotNews(why))
    layers.append(Layer(Fields(after), None if schema is None else _field_of(schema, "after")))
    return Envelope(tuple(layers))


def _is_change(fields: dict[str, Any]) -> bool:
    """Whether fields are those of Debezium's envelope."""
    op = fields.get("op")
    if not isinstance(op, str) or not isinstance(fields.get("source"), dict):
        return False
    return "after" in fields or op in _CHANGES


def _row(after: Any) -> dict[str, Any] | None:
    """A row after a change. Debezium has MongoDB's documents as strings of JSON."""
    if isinstance(after, str):
        try:
            return json_object(after.encode())
        except NotNews:
            return None
    return after if isinstance(after, dict) else None


def _field_of(schema: Any, name: str) -> Any:
    """The schema of a field of a struct of Connect; None where it has none."""
    fields = schema.get("fields") if isinstance(schema, dict) else None
    for field in fields if isinstance(fields, list) else ():
        if isinstance(field, dict) and str(field.get("field")).casefold() == name.casefold():
            return field
    return None


def _type_name(schema: Any, field: str) -> str:
    found = _field_of(schema, field)
    if found is None:
        found = schema
        for step in field.split("."):
            found = _field_of(found, step)
    name = found.get("name") if isinstance(found, dict) else None
    return name if isinstance(name, str) else ""
