"""The formats by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transforms.errors import ConfigurationError
from transforms.formats.decoder import Decoder
from transforms.formats.names import FORMATS, TYPES
from transforms.formats.plain import CsvDecoder, JsonDecoder, TextDecoder
from transforms.schema_registry.client import RegisteredSchema, RegistryClient
from transforms.schema_registry.schemas import Schemas
from transforms.schema_registry.settings import SchemaRegistry


def decoder_named(
    format: str,
    columns: Sequence[str] | None = None,
    delimiter: str | None = None,
    registry: SchemaRegistry | None = None,
) -> Decoder:
    """The decoder of a format.

    Args:
        format: One of `FORMATS`.
        columns: The column names of CSV rows that come without.
        delimiter: What stands between the fields of such rows.
        registry: Where the schemas of framed messages are.

    Raises:
        ConfigurationError: The format is unknown, needs a registry, or has no use for one.
    """
    if format not in FORMATS:
        raise ConfigurationError(f"format={format!r} is unknown: give one of {', '.join(FORMATS)}")
    if registry is None:
        if format in {"avro", "protobuf"}:
            raise ConfigurationError(f"format={format} needs its schemas: give schema_registry=URL")
    elif format not in TYPES:
        raise ConfigurationError(
            f"format={format} has no schemas: drop schema_registry, or give format=avro, protobuf or "
            "json"
        )
    if format == "avro":
        from transforms.formats.avro import AvroDecoder

        return AvroDecoder(_given(registry))
    if format == "protobuf":
        from transforms.formats.protobuf import ProtobufDecoder

        return ProtobufDecoder(_given(registry))
    if format == "csv":
        return CsvDecoder(columns, delimiter)
    if format == "text":
        return TextDecoder()
    return JsonDecoder(None if registry is None else Schemas(registry, TYPES[format], _is_there))


def _given(registry: SchemaRegistry | None) -> SchemaRegistry:
    assert registry is not None
    return registry


def _is_there(client: RegistryClient, ref: Any, schema: RegisteredSchema) -> bool:
    """JSON needs no schema to be read."""
    return True
