"""Framed messages where no Avro or Protobuf was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.servers.schema_registry import SchemaRegistryServer, guid_of
from tests.unit.transforms.formats import peers
from tests.unit.transforms.parsing import news, refused
from transforms.formats.framing import frame_of_id, framed
from transforms.records import Message
from transforms.schema_registry.settings import SchemaRegistry

SCHEMA = {"title": "News", "type": "object", "properties": {"title": {"type": "string"}}}
FIX = ": give format=avro, protobuf or json, and schema_registry=URL"


@pytest.mark.parametrize("format", ["json", "text", "csv"])
def test_without_a_registry_the_reason_names_the_frame(format: str) -> None:
    framed_with_7 = frame_of_id(7) + b"\x0eOil,rises"
    more: dict[str, Any] = {"format": format, "columns": ["title", "text"]}
    assert refused(framed_with_7, **more) == f"framed with schema id 7 (Confluent){FIX}"


def test_without_a_registry_the_reason_names_the_header(
    schema_registry: SchemaRegistryServer,
) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "title", "type": "string"}]}
    message = peers.message(peers.avro(schema_registry.url, schema, "header"), {"title": "A"})
    assert refused(message) == (
        f"framed with schema {guid_of(1)} (Confluent, in its header __value_schema_id){FIX}"
    )


@pytest.mark.parametrize("frame", peers.FRAMES)
def test_json_with_a_schema(schema_registry: SchemaRegistryServer, frame: str) -> None:
    message = peers.message(peers.json_schema(schema_registry.url, SCHEMA, frame), {"title": "A"})
    registry = SchemaRegistry.of(schema_registry.url, {})
    assert news(message, schema_registry=registry).text == "A"
    # What has no frame is what it is.
    assert news(b'{"title": "B"}', schema_registry=registry).text == "B"
    if frame == "header":
        assert news(message).text == "A"


@pytest.mark.parametrize("frame", peers.FRAMES)
def test_avro_where_json_was_asked_for(schema_registry: SchemaRegistryServer, frame: str) -> None:
    schema = {"type": "record", "name": "R", "fields": [{"name": "title", "type": "string"}]}
    message = peers.message(peers.avro(schema_registry.url, schema, frame), {"title": "A"})
    reason = refused(message, schema_registry=SchemaRegistry.of(schema_registry.url, {}))
    assert reason.endswith("is of type AVRO: give format=avro for such messages")


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x00\x00\x00\x01", b"\x01" * 16, b"{}", b"\x02"])
def test_what_has_no_frame(value: bytes) -> None:
    assert framed(Message(value)) is None


def test_text_in_utf_16_is_no_frame() -> None:
    assert "give format" not in refused("Oil rises".encode("utf-16-be") + b"\xff", format="text")
