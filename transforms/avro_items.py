"""Categorized items as Avro, with a schema that is made from their class and kept in a registry."""

from __future__ import annotations

import datetime
import functools
import io
import json
import types
import typing
from dataclasses import dataclass
from typing import Any

import fastavro
import msgspec

from transforms.errors import ConfigurationError
from transforms.formats.decoder import NotNews
from transforms.formats.framing import SchemaRef, frame_of_id, framed
from transforms.item_encoders import ItemEncoder
from transforms.records import CategorizedItem, Message, SourcePosition
from transforms.schema_registry.client import (
    RegisteredSchema,
    RegistryClient,
    RegistryRefused,
    RegistryUnreachable,
    client_of,
    refused_login,
)
from transforms.schema_registry.schemas import Schemas
from transforms.schema_registry.settings import SchemaRegistry

_NAMESPACE = "newsbeam"
_PRIMITIVES = {str: "string", bool: "boolean", int: "long", float: "double", bytes: "bytes"}
#: What of an item is no part of it: key and headers are the record's own.
_LEFT_OUT = {"message"}
_POSITIONS = {position.__name__: position for position in typing.get_args(SourcePosition)}
_INCOMPATIBLE = 409


def _schema_of(type: Any) -> Any:
    """The Avro schema of a type of our records."""
    if type in _PRIMITIVES:
        return _PRIMITIVES[type]
    if type is types.NoneType:
        return "null"
    if type is datetime.datetime:
        return {"type": "long", "logicalType": "timestamp-micros"}
    if isinstance(type, types.UnionType):
        # A default has to be of the first type of a union.
        return [_schema_of(t) for t in sorted(typing.get_args(type), key=_is_not_none)]
    origin, of = typing.get_origin(type), typing.get_args(type)
    if origin is dict and of[1] is Any:
        return "string"
    if origin is dict:
        return {"type": "map", "values": _schema_of(of[1])}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(of[0])}
    return {
        "type": "record",
        "name": type.__name__,
        "namespace": _NAMESPACE,
        "fields": [
            _field(name, hint)
            for name, hint in typing.get_type_hints(type).items()
            if name in type.__struct_fields__ and name not in _LEFT_OUT
        ],
    }


def _is_not_none(type: Any) -> bool:
    return type is not types.NoneType


def _field(name: str, type: Any) -> dict[str, Any]:
    field = {"name": name, "type": _schema_of(type)}
    if typing.get_args(type)[1:] == (Any,):
        field["doc"] = "A JSON object."
    if isinstance(field["type"], list) and "null" in field["type"]:
        field["default"] = None
    return field


#: The schema of categorized items, as JSON.
SCHEMA = json.dumps(_schema_of(CategorizedItem))


@functools.cache
def _parsed(schema: str) -> Any:
    return fastavro.parse_schema(json.loads(schema))


@dataclass(frozen=True)
class AvroItems(ItemEncoder):
    """Items as Avro, framed as Confluent's serializers do; their fields are a string of JSON.

    Attributes:
        schema_id: The id of the schema in its registry.
        schema: The schema.
    """

    schema_id: int
    schema: str = SCHEMA

    @classmethod
    def registered(cls, registry: SchemaRegistry, topic: str) -> AvroItems:
        """Registers the schema under the subject `TOPIC-value`, unless it is there.

        Raises:
            ConfigurationError: The registry is away, or refuses it.
        """
        subject, client = f"{topic}-value", client_of(registry)
        try:
            try:
                # One who may not write schemas may still find one there.
                return cls(client.find(subject, SCHEMA))
            except RegistryRefused as e:
                if refused_login(registry, e):
                    raise
            return cls(client.register(subject, SCHEMA))
        except RegistryUnreachable as e:
            raise ConfigurationError(f"{e}; check schema_registry") from None
        except RegistryRefused as e:
            raise ConfigurationError(
                refused_login(registry, e) or _refused(registry, subject, e)
            ) from None

    def encode(self, item: CategorizedItem) -> bytes:
        buffer = io.BytesIO()
        buffer.write(frame_of_id(self.schema_id))
        fields = {name: getattr(item, name) for name in CategorizedItem.__struct_fields__}
        fields["fields"] = msgspec.json.encode(item.fields).decode()
        if item.source is not None:
            name = f"{_NAMESPACE}.{type(item.source).__name__}"
            fields["source"] = name, msgspec.structs.asdict(item.source)
        fastavro.schemaless_writer(buffer, _parsed(self.schema), fields)
        return buffer.getvalue()


def _refused(registry: SchemaRegistry, subject: str, error: RegistryRefused) -> str:
    if error.status == _INCOMPATIBLE:
        fix = "give another topic, or change the compatibility of that subject"
    else:
        fix = "let this user register it, or register it before"
    return (
        f"the schema registry at {registry} does not take the schema of categorized items for subject "
        f"{subject!r}: {error.why}; {fix}"
    )


class AvroItemsReader:
    """Reads back what `AvroItems` wrote.

    Args:
        registry: Where the schemas are.
    """

    def __init__(self, registry: SchemaRegistry) -> None:
        self._schemas = Schemas(registry, "AVRO", _items_schema)

    def read(self, message: Message) -> CategorizedItem:
        """The item of a message; its key and headers are the message's.

        Raises:
            NotNews: It is none.
            RegistryFailure: The registry lets us in no more.
        """
        frame = framed(message)
        if frame is None:
            raise NotNews("not framed as Avro of a schema registry is")
        schema = self._schemas.get(frame.schema)
        try:
            found: Any = fastavro.schemaless_reader(
                io.BytesIO(frame.payload), schema, _parsed(SCHEMA), return_record_name=True
            )
            if found["source"] is not None:
                name, position = found["source"]
                found["source"] = _POSITIONS[name.rpartition(".")[2]](**position)
            found["fields"] = msgspec.json.decode(found["fields"])
            found["labels"] = tuple(found["labels"])
        except Exception as e:
            why = str(e) or type(e).__name__
            raise NotNews(f"not a categorized item in Avro: {why}") from None
        return CategorizedItem(**found, message=message)


def _items_schema(client: RegistryClient, ref: SchemaRef, schema: RegisteredSchema) -> Any:
    try:
        parsed = fastavro.parse_schema(json.loads(schema.text))
    except Exception as e:
        raise NotNews(f"not a valid Avro schema: {str(e) or type(e).__name__}") from None
    name = parsed.get("name") if isinstance(parsed, dict) else None
    if name != f"{_NAMESPACE}.{CategorizedItem.__name__}":
        raise NotNews(f"it is of {name or 'no record'}, and not of categorized items")
    return parsed
