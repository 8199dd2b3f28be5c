"""Avro of a schema registry, as Confluent's serializer writes it."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import json
import pickle
import uuid
from typing import Any

import pytest
from apache_beam.internal import pickler

from tests.servers.schema_registry import SchemaRegistryServer, guid_of
from tests.unit.transforms.formats import peers
from tests.unit.transforms.parsing import news, parse, refused
from transforms.errors import ConfigurationError
from transforms.formats.avro import AvroDecoder, avro_reader
from transforms.formats.decoder import NotNews
from transforms.formats.framing import SchemaRef, frame_of_id
from transforms.parse import ParseNews
from transforms.records import DeadLetter, Message
from transforms.schema_registry.client import RegisteredSchema, RegistryClient
from transforms.schema_registry.settings import SchemaRegistry

UTC = datetime.UTC
NOON = datetime.datetime(2024, 4, 3, 12, tzinfo=UTC)
NEWS = {
    "type": "record",
    "name": "News",
    "namespace": "press",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "title", "type": "string"},
        {"name": "published", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}


def record(*fields: tuple[str, Any]) -> dict[str, Any]:
    named = [{"name": name, "type": type} for name, type in fields]
    return {"type": "record", "name": "R", "fields": named}


def settings(server: SchemaRegistryServer) -> dict[str, Any]:
    return {"format": "avro", "schema_registry": SchemaRegistry.of(server.url, {})}


@pytest.mark.parametrize("frame", peers.FRAMES)
def test_a_record(schema_registry: SchemaRegistryServer, frame: str) -> None:
    item = {"id": 7, "title": "Oil rises", "published": NOON}
    message = peers.message(peers.avro(schema_registry.url, NEWS, frame), item)
    assert (message.value or b"")[0] == (0 if frame == "prefix" else 14)
    found = news(message, **settings(schema_registry))
    assert (found.id, found.text, found.event_time) == ("7", "Oil rises", NOON)
    assert found.fields == {"id": 7, "title": "Oil rises", "published": "2024-04-03T12:00:00Z"}
    assert found.message == message


def test_schemas_are_asked_for_once(schema_registry: SchemaRegistryServer) -> None:
    serialize = peers.avro(schema_registry.url, NEWS)
    messages = [
        peers.message(serialize, {"id": n, "title": "A", "published": NOON}) for n in range(3)
    ]
    schema_registry.asked.clear()
    step = ParseNews(**settings(schema_registry))
    for message in messages:
        for of_worker in (step, pickler.loads(pickler.dumps(step))):
            assert next(iter(of_worker.process(message))).text == "A"
    assert schema_registry.asked == ["GET /schemas/ids/1"]


def test_what_json_does_not_have(schema_registry: SchemaRegistryServer) -> None:
    cases: list[tuple[str, Any, Any, Any]] = [
        ("title", "string", "A", "A"),
        ("raw", "bytes", b"\xff\x00", "/wA="),
        ("code", {"type": "fixed", "name": "F", "size": 2}, b"ab", "YWI="),
        ("kind", {"type": "enum", "name": "E", "symbols": ["HOT", "COLD"]}, "COLD", "COLD"),
        ("maybe", ["null", "string"], None, None),
        ("either", ["null", "long", {"type": "map", "values": "int"}], {"a": 1}, {"a": 1}),
        ("tags", {"type": "array", "items": "string"}, ["a", "b"], ["a", "b"]),
        ("inner", record(("x", "float")), {"x": 0.5}, {"x": 0.5}),
        ("nan", "double", float("nan"), None),
        ("infinite", "double", float("-inf"), None),
        ("big", "long", 2**63 - 1, 2**63 - 1),
        (
            "price",
            {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
            decimal.Decimal("12.30"),
            "12.30",
        ),
        (
            "uuid",
            {"type": "string", "logicalType": "uuid"},
            uuid.UUID(int=7),
            "00000000-0000-0000-0000-000000000007",
        ),
        ("day", {"type": "int", "logicalType": "date"}, NOON.date(), "2024-04-03"),
        (
            "micros",
            {"type": "long", "logicalType": "timestamp-micros"},
            NOON.replace(microsecond=5),
            "2024-04-03T12:00:00.000005Z",
        ),
        ("hour", {"type": "int", "logicalType": "time-millis"}, datetime.time(12, 30), "12:30:00"),
    ]
    schema = {**record(*((name, type) for name, type, _, _ in cases)), "name": "All"}
    value = {name: given for name, _, given, _ in cases}
    message = peers.message(peers.avro(schema_registry.url, schema), value)
    found = news(message, **settings(schema_registry))
    assert found.fields == {name: expected for name, _, _, expected in cases}


def test_references(schema_registry: SchemaRegistryServer) -> None:
    author = {"type": "record", "name": "Author", "namespace": "a", "fields": [
        {"name": "name", "type": "string"}]}  # fmt: skip
    schema_registry.add("author", json.dumps(author))
    schema = json.dumps(record(("title", "string"), ("author", "a.Author"), ("other", "a.Author")))
    reference = peers.confluent.SchemaReference("a.Author", "author", 1)
    serialize = peers.avro(schema_registry.url, peers.confluent.Schema(schema, "AVRO", [reference]))
    value = {"title": "A", "author": {"name": "N"}, "other": {"name": "M"}}
    found = news(
        peers.message(serialize, value), text_fields="author.name", **settings(schema_registry)
    )
    assert (found.fields, found.text) == (value, "N")


def test_debezium_in_avro(schema_registry: SchemaRegistryServer) -> None:
    row = {"type": "record", "name": "Value", "fields": [
        {"name": "title", "type": "string"},
        {"name": "day", "type": {"type": "int", "connect.name": "io.debezium.time.Date"}},
        {"name": "published", "type": ["null",
            {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}]},
    ]}  # fmt: skip
    envelope = record(
        ("before", ["null", row]),
        ("after", ["null", "Value"]),
        ("source", {**record(("table", "string")), "name": "Source"}),
        ("op", "string"),
    )
    serialize = peers.avro(schema_registry.url, envelope)
    after = {"title": "A", "day": 19_816, "published": 1_712_145_600_000_000}
    source = {"table": "news"}
    change = {"before": None, "after": after, "source": source, "op": "c"}
    found = news(peers.message(serialize, change), **settings(schema_registry))
    assert found.event_time == NOON
    assert found.fields == {"title": "A", "day": "2024-04-03", "published": "2024-04-03T12:00:00Z"}
    gone = {**change, "before": after, "after": None, "op": "d"}
    letter = parse(peers.message(serialize, gone), **settings(schema_registry))
    assert isinstance(letter, DeadLetter)
    assert (letter.error_type, letter.error) == (
        "Deleted",
        "a delete (Debezium, op=d): it has no row after it",
    )


def test_times_that_python_does_not_have_cost_no_item(
    schema_registry: SchemaRegistryServer,
) -> None:
    serialize = peers.avro(schema_registry.url, {**NEWS, "fields": [
        *NEWS["fields"][:2], {"name": "published", "type": "long"}]})  # fmt: skip
    message = peers.message(serialize, {"id": 1, "title": "A", "published": 10**16})
    as_time = schema_registry.add("other", json.dumps(NEWS))
    assert message.value is not None
    value = frame_of_id(as_time) + message.value[5:]
    found = news(Message(value, timestamp=1_600_000_000_000), **settings(schema_registry))
    assert found.fields == {"id": 1, "title": "A", "published": 10**16}


@pytest.mark.parametrize("levels", [5_000, 500_000])
def test_deep_nesting_costs_one_dead_letter_and_not_the_process(
    schema_registry: SchemaRegistryServer, levels: int
) -> None:
    schema = record(("title", "string"), ("next", ["null", "R"]))
    message = peers.message(peers.avro(schema_registry.url, schema), {"title": "A", "next": None})
    assert news(message, **settings(schema_registry)).text == "A"
    assert message.value is not None
    deep = message.value[:5] + b"\x00\x02" * levels + b"\x00\x00"
    assert "schema id 1" in refused(deep, **settings(schema_registry))


@pytest.mark.parametrize("levels", [*range(100, 1200, 50)])
def test_a_schema_that_is_nested_too_deeply_is_none(levels: int) -> None:
    inner = '{"type":"array","items":' * levels + '"string"' + "}" * levels
    text = f'{{"type":"record","name":"R","fields":[{{"name":"f","type":{inner}}}]}}'
    client = RegistryClient(SchemaRegistry(("http://127.0.0.1:9",)))
    with contextlib.suppress(NotNews):
        avro_reader(client, SchemaRef(1), RegisteredSchema("AVRO", text))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"title": "A"}', "not framed as Avro of a schema registry is: b'{\"title\"'"),
        (b"\x00\x00\x00", "not framed as Avro"),
        (frame_of_id(1), "not valid Avro of schema id 1: "),
        (frame_of_id(1) + b"\x02\xfe", "not valid Avro of schema id 1: "),
        (frame_of_id(1) + b"\x02\x04a", "not valid Avro of schema id 1: it ends early"),
        (frame_of_id(1) + b"\0" * 5, "not valid Avro of schema id 1: 2 bytes are left over"),
        (frame_of_id(1) + b"\x02\x04\xff\xff\x00", "not valid Avro of schema id 1: "),
        (
            frame_of_id(99),
            "schema id 99 is not known to the schema registry at {url}: 404 Schema 99 not found",
        ),
        (b"\x01" + bytes(16), "schema 00000000-0000-0000-0000-000000000000 is not known to"),
        (frame_of_id(2), "schema id 2 is of type JSON: give format=json for such messages"),
        (frame_of_id(3) + b"\x02a", "a JSON string, not an object"),
        (frame_of_id(4) + b"\x02a", "schema id 4 of {url} can't be used: not a valid Avro schema"),
    ],
)
def test_what_is_none(schema_registry: SchemaRegistryServer, value: bytes, reason: str) -> None:
    schema_registry.add("news", json.dumps(NEWS))
    schema_registry.add("other", "{}", "JSON")
    schema_registry.add("text", '"string"')
    schema_registry.add("broken", '{"type": "record"}')
    found = parse(value, **settings(schema_registry))
    assert isinstance(found, DeadLetter)
    assert found.error.startswith(reason.replace("{url}", schema_registry.url))
    assert found.message.value == value


def test_a_guid_before_the_value_and_an_id_in_a_header(
    schema_registry: SchemaRegistryServer,
) -> None:
    id = schema_registry.add("news", json.dumps(record(("title", "string"))))
    payload, more = b"\x02A", settings(schema_registry)
    guid = uuid.UUID(guid_of(id)).bytes
    assert news(b"\x01" + guid + payload, **more).text == "A"
    header = ("__value_schema_id", frame_of_id(id))
    assert news(Message(payload, headers=(header,)), **more).text == "A"
    broken = Message(payload, headers=(("__value_schema_id", b"\x07"),))
    assert refused(broken, **more) == r"its header __value_schema_id names no schema: b'\x07'"


def test_it_needs_a_registry() -> None:
    with pytest.raises(ConfigurationError, match="format=avro needs its schemas: give schema_reg"):
        ParseNews(format="avro")
    registry = SchemaRegistry.of("http://h:1", {})
    with pytest.raises(ConfigurationError, match="format=text has no schemas: drop schema_regis"):
        ParseNews(format="text", schema_registry=registry)
    assert pickle.loads(pickle.dumps(AvroDecoder(registry)))
