"""Whatever a framed message holds, it comes out once and whole."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.servers.schema_registry import SchemaRegistryServer
from tests.unit.transforms.formats import peers
from tests.unit.transforms.parsing import parse
from transforms.formats.framing import frame_of_id
from transforms.records import DeadLetter, Message
from transforms.schema_registry.settings import SchemaRegistry

#: Something of everything that Avro has.
EVERYTHING = {
    "type": "record",
    "name": "All",
    "fields": [
        {"name": "title", "type": ["null", "string", "bytes"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "hour", "type": {"type": "int", "logicalType": "time-millis"}},
        {
            "name": "price",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        },
        {"name": "kind", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "scores", "type": {"type": "map", "values": "double"}},
        {"name": "key", "type": {"type": "string", "logicalType": "uuid"}},
    ],
}
DEEP = {
    "type": "record",
    "name": "Deep",
    "fields": [
        {"name": "title", "type": "string"},
        {"name": "next", "type": ["null", "Deep", {"type": "array", "items": "Deep"}]},
    ],
}
FORMATS = ("avro", "protobuf", "json")


@pytest.fixture(scope="module")
def registry() -> Iterator[SchemaRegistry]:
    with SchemaRegistryServer() as server:
        server.add("everything", json.dumps(EVERYTHING))
        server.add("deep", json.dumps(DEEP))
        news = peers.news_classes()["News"]
        peers.message(peers.protobuf(server.url, news), news(title="A"))
        yield SchemaRegistry.of(server.url, {})


@pytest.mark.parametrize("format", FORMATS)
@given(
    st.one_of(st.just(b""), st.integers(0, 5).map(frame_of_id), st.binary(max_size=20)),
    st.binary(max_size=200),
    st.none() | st.integers(0, 5).map(frame_of_id) | st.binary(max_size=20),
)
@example(frame_of_id(1), b"\x02\x02a" + b"\x80" * 100, None)
@example(frame_of_id(2), b"\x02a\x04\xfe\xff\xff\xff\x0f", None)
@example(frame_of_id(4), b"\x00" + b"\x0a\x80\x80\x80\x80\x7f", None)
def test_any_bytes_come_out_once_and_whole(
    registry: SchemaRegistry, format: str, frame: bytes, payload: bytes, header: bytes | None
) -> None:
    headers = () if header is None else (("__value_schema_id", header),)
    message = Message(frame + payload, headers=headers)
    found = parse(message, format=format, schema_registry=registry)
    assert found.message == message
    if isinstance(found, DeadLetter):
        assert found.error_type in {"NotNews", "UnknownSchema", "WrongSchema"}
