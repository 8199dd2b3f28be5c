"""Categorized items in Avro: written, registered, and read back by us and by Confluent's own client."""

from __future__ import annotations

import datetime
import json
import pickle
from typing import Any

import pytest

from tests.servers.processes import free_port
from tests.servers.schema_registry import SchemaRegistryServer
from transforms.avro_items import SCHEMA, AvroItems, AvroItemsReader
from transforms.errors import ConfigurationError
from transforms.formats.decoder import NotNews
from transforms.formats.framing import frame_of_id
from transforms.item_encoders import JSON_ITEMS, JsonItems
from transforms.records import (
    CategorizedItem,
    FilePosition,
    KafkaPosition,
    Message,
    categorized_to_json,
)
from transforms.schema_registry.settings import SchemaRegistry

AT = datetime.datetime(2024, 4, 3, 12, 0, 0, 5, tzinfo=datetime.UTC)
EARLY = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)
ITEM = CategorizedItem(
    id="7",
    category="Sports",
    score=0.75,
    scores={"Sports": 0.75, "World": 0.25},
    labels=("Sports",),
    tokens=12,
    truncated=False,
    model="m@1",
    event_time=AT,
    processed_time=AT,
    source=KafkaPosition("news", 2, 40),
    fields={"title": "Größe", "nested": {"a": [1, None, 2**70]}},
)


def of(server: SchemaRegistryServer) -> SchemaRegistry:
    return SchemaRegistry.of(server.url, {})


def changed(**fields: Any) -> CategorizedItem:
    return CategorizedItem(
        **{name: getattr(ITEM, name) for name in ITEM.__struct_fields__} | fields
    )


@pytest.mark.parametrize(
    "item",
    [ITEM, changed(source=FilePosition("f", 3), labels=(), event_time=EARLY), changed(source=None)],
    ids=["kafka", "file", "memory"],
)
def test_what_was_written_is_read_back(
    schema_registry: SchemaRegistryServer, item: CategorizedItem
) -> None:
    encoder = AvroItems.registered(of(schema_registry), "out")
    message = Message(encoder.encode(item), key=b"k")
    found = AvroItemsReader(of(schema_registry)).read(message)
    assert found.message == message
    assert categorized_to_json(found) == categorized_to_json(item)


def test_confluent_s_client_reads_it(schema_registry: SchemaRegistryServer) -> None:
    peers = pytest.importorskip("tests.unit.transforms.formats.peers")
    from confluent_kafka.schema_registry.avro import AvroDeserializer

    value = AvroItems.registered(of(schema_registry), "out").encode(ITEM)
    found = AvroDeserializer(peers.client(schema_registry.url))(value)
    assert isinstance(found, dict)
    assert json.loads(found.pop("fields")) == ITEM.fields
    assert found == {
        "id": "7",
        "category": "Sports",
        "score": 0.75,
        "scores": {"Sports": 0.75, "World": 0.25},
        "labels": ["Sports"],
        "tokens": 12,
        "truncated": False,
        "model": "m@1",
        "event_time": AT,
        "processed_time": AT,
        "source": {"topic": "news", "partition": 2, "offset": 40},
    }


def test_the_schema_has_every_field_of_an_item() -> None:
    fields = {field["name"]: field["type"] for field in json.loads(SCHEMA)["fields"]}
    assert list(fields) == [n for n in CategorizedItem.__struct_fields__ if n != "message"]
    assert fields["scores"] == {"type": "map", "values": "double"}
    assert fields["event_time"] == {"type": "long", "logicalType": "timestamp-micros"}
    assert fields["fields"] == "string"


# ---- registering -----------------------------------------------------------------------------------


def test_it_is_registered_once_under_the_usual_subject(
    schema_registry: SchemaRegistryServer,
) -> None:
    schema_registry.add("other", '"string"')
    encoders = [AvroItems.registered(of(schema_registry), "out/of it") for _ in range(2)]
    assert encoders[0] == encoders[1] == AvroItems(2)
    assert encoders[0].encode(ITEM).startswith(frame_of_id(2))
    assert pickle.loads(pickle.dumps(encoders[0])) == encoders[0]
    assert schema_registry.subjects() == {"other": [1], "out/of it-value": [2]}
    assert [asked for asked in schema_registry.asked if asked.endswith("/versions")] == [
        "POST /subjects/out%2Fof%20it-value/versions"
    ]


def test_one_who_may_not_register_finds_it(schema_registry: SchemaRegistryServer) -> None:
    schema_registry.read_only = True
    with pytest.raises(ConfigurationError) as caught:
        AvroItems.registered(of(schema_registry), "out")
    assert str(caught.value) == (
        f"the schema registry at {schema_registry.url} does not take the schema of categorized items "
        "for subject 'out-value': 422 Subject is in read-only mode; let this user register it, or "
        "register it before"
    )
    schema_registry.add("out-value", SCHEMA)
    assert AvroItems.registered(of(schema_registry), "out").schema_id == 1


def test_what_is_not_compatible_is_one_line(schema_registry: SchemaRegistryServer) -> None:
    schema_registry.add("out-value", '"string"')
    schema_registry.compatible = lambda subject, schema: False
    with pytest.raises(
        ConfigurationError,
        match="for subject 'out-value': 409 Schema being registered is incompatible with an earlier "
        "schema; give another topic, or change the compatibility of that subject",
    ):
        AvroItems.registered(of(schema_registry), "out")


def test_a_registry_that_is_away_or_refuses_us(schema_registry: SchemaRegistryServer) -> None:
    with pytest.raises(
        ConfigurationError, match=r"can't reach .* Connection refused; check schema"
    ):
        AvroItems.registered(SchemaRegistry.of(f"http://127.0.0.1:{free_port()}", {}), "out")
    schema_registry.login = "me", "secret"
    with pytest.raises(
        ConfigurationError, match="refuses us: 401 Unauthorized; check NEWSBEAM_SCH"
    ):
        AvroItems.registered(of(schema_registry), "out")


# ---- what is none ----------------------------------------------------------------------------------


def test_what_is_no_item(schema_registry: SchemaRegistryServer) -> None:
    schema_registry.add("other", '{"type": "record", "name": "R", "fields": []}')
    encoder = AvroItems.registered(of(schema_registry), "out")
    reader = AvroItemsReader(of(schema_registry))
    for value, reason in (
        (b"{}", "not framed as Avro"),
        (frame_of_id(1), "it is of R, and not of categorized items"),
        (encoder.encode(ITEM)[:40], "not a categorized item in Avro: "),
        (frame_of_id(9), "schema id 9 is not known"),
    ):
        with pytest.raises(NotNews, match=reason):
            reader.read(Message(value))


def test_json_is_what_it_was() -> None:
    item = changed(message=Message(b"v", key=b"k", headers=(("h", b"1"),)))
    assert JSON_ITEMS.encode(item) == categorized_to_json(item)
    assert JsonItems(envelope=True).encode(item) == categorized_to_json(item, envelope=True)
