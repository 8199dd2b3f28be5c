"""Messages of Avro, whose schemas are in a registry."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import fastavro
from fastavro import _read_py

from transforms.formats.decoder import Decoder, NotNews
from transforms.formats.framing import SchemaRef, framed
from transforms.formats.plain import made_json
from transforms.records import Message
from transforms.schema_registry.client import RegisteredSchema, RegistryClient
from transforms.schema_registry.schemas import Schemas
from transforms.schema_registry.settings import SchemaRegistry

#: Times of Debezium, which are numbers to Avro, as Avro's own.
_DEBEZIUM = {
    "io.debezium.time.Date": "date",
    "io.debezium.time.Timestamp": "timestamp-millis",
    "io.debezium.time.MicroTimestamp": "timestamp-micros",
}
_TIMES = {
    "date", "time-millis", "time-micros", "timestamp-millis", "timestamp-micros",
    "local-timestamp-millis", "local-timestamp-micros",
}  # fmt: skip
_NAMED = {"record", "error", "enum", "fixed"}
_PRIMITIVE = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}

Schema = Any
#: Reads a value from a stream.
Read = Callable[[io.BytesIO, Schema, None], Any]


class AvroReader(NamedTuple):
    """What reads the values of a schema.

    Attributes:
        schema: The schema, parsed.
        without_times: The same, where times are but numbers.
        read: What reads them.
    """

    schema: Schema
    without_times: Schema
    read: Read

    def decode(self, payload: bytes) -> Any:
        """Reads a value.

        Raises:
            Exception: It is no value of this schema.
        """
        stream = io.BytesIO(payload)
        try:
            value = self.read(stream, self.schema, None)
        except (OverflowError, ValueError):
            # A time before the year 1 or after 9999 costs an item its time, not its category.
            stream.seek(0)
            value = self.read(stream, self.without_times, None)
        except EOFError:
            raise NotNews("it ends early") from None
        if left := len(payload) - stream.tell():
            raise NotNews(f"{left} bytes are left over")
        return value


class AvroDecoder(Decoder):
    """Messages of Avro records, framed.

    What Avro knows and JSON does not, becomes as `made_json` says. Debezium's own times are times.

    Args:
        registry: Where their schemas are.
    """

    def __init__(self, registry: SchemaRegistry) -> None:
        self._schemas = Schemas(registry, "AVRO", avro_reader)

    def decode(self, message: Message) -> dict[str, Any]:
        frame = framed(message)
        if frame is None:
            raise NotNews(f"not framed as Avro of a schema registry is: {message.value[:8]!r}")  # type: ignore[index]
        reader = self._schemas.get(frame.schema)
        try:
            value = reader.decode(frame.payload)
        except Exception as e:
            why = str(e) or type(e).__name__
            raise NotNews(f"not valid Avro of {frame.schema}: {why}") from None
        return made_json(value)


def avro_reader(client: RegistryClient, ref: SchemaRef, schema: RegisteredSchema) -> AvroReader:
    """Parses a schema of a registry, and those that it refers to.

    Raises:
        NotNews: It can't be parsed.
    """
    named: dict[str, Any] = {}
    named_without: dict[str, Any] = {}
    found: list[RegisteredSchema] = []
    _gather(client, schema, found, set())
    try:
        schemas = [json.loads(s.text) for s in found]
        # The last of them is the schema itself.
        parsed = [fastavro.parse_schema(_timed(s), named) for s in schemas][-1]
        without = [fastavro.parse_schema(_timed(s, None), named_without) for s in schemas][-1]
        recursive = any(_is_recursive(s) for s in schemas)
    except Exception as e:
        raise NotNews(f"not a valid Avro schema: {e or type(e).__name__}") from None
    # fastavro's compiled reader has no bound to its recursion: a message of some kilobytes that nests
    # deep enough ends the process. The one in Python raises RecursionError.
    return AvroReader(
        parsed, without, _read_py.schemaless_reader if recursive else fastavro.schemaless_reader
    )


def _gather(
    client: RegistryClient, schema: RegisteredSchema, found: list[RegisteredSchema], seen: set[str]
) -> None:
    """Gathers what a schema refers to, each once, what is referred to first; then the schema."""
    for reference in schema.references:
        if reference.name not in seen:
            seen.add(reference.name)
            _gather(client, client.version(reference), found, seen)
    found.append(schema)


def _timed(schema: Schema, times: dict[str, str] | None = _DEBEZIUM) -> Schema:
    """A schema in which Debezium's times are Avro's; without `times`, none is a time."""
    if isinstance(schema, list):
        return [_timed(s, times) for s in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: _timed(value, times) if key in {"type", "items", "values", "fields"} else value
        for key, value in schema.items()
    }
    if times is None:
        if made.get("logicalType") in _TIMES:
            del made["logicalType"]
    elif "logicalType" not in made and (time := times.get(made.get("connect.name", ""))):
        made["logicalType"] = time
    return made


def _is_recursive(schema: Schema) -> bool:
    """Whether values of a schema may nest in themselves: it names a type within that type."""

    def within(schema: Schema, around: frozenset[str], space: str) -> bool:
        if isinstance(schema, str):
            full = schema if "." in schema or not space else f"{space}.{schema}"
            return schema not in _PRIMITIVE and (full in around or schema in around)
        if isinstance(schema, list):
            return any(within(s, around, space) for s in schema)
        if not isinstance(schema, dict):
            return False
        if schema.get("type") in _NAMED and isinstance(name := schema.get("name"), str):
            space = schema.get("namespace", space)
            if "." in name:
                space = name.rpartition(".")[0]
            else:
                name = f"{space}.{name}" if space else name
            around = around | {name}
        inner = [schema.get(key) for key in ("type", "items", "values")]
        inner += [f.get("type") for f in schema.get("fields") or () if isinstance(f, dict)]
        return any(within(s, around, space) for s in inner)

    return within(schema, frozenset(), "")
