"""Messages of a schema registry through the whole chain, into a topic in Avro."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import RunInference

from pipeline.demo.broker import EmbeddedBroker
from pipeline.ends.kafka.peek import read_topics
from tests.servers.schema_registry import SchemaRegistryServer, guid_of
from tests.unit.running import local_pipeline
from tests.unit.transforms.formats import peers
from transforms.avro_items import AvroItems, AvroItemsReader
from transforms.classify import Categorize, OnnxTextClassifier
from transforms.formats.framing import VALUE_SCHEMA_HEADER, frame_of_id
from transforms.kafka.encode import KafkaTopic
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.write import KafkaSink
from transforms.news_settings import NewsSettings
from transforms.parse import ParseNews
from transforms.records import Message, dead_letter_from_headers
from transforms.schema_registry.settings import SchemaRegistry
from transforms.tokenize import TokenizeNews
from transforms.writing import LETTERS, WriteOutcomes

SCHEMA = {
    "type": "record",
    "name": "News",
    "fields": [{"name": "id", "type": "string"}, {"name": "title", "type": "string"}],
}
TITLES = ["Oil prices rise again", "Champions win the cup final", "New phone has two chips"]


@pytest.mark.parametrize("frame", peers.FRAMES)
def test_from_avro_to_avro(
    embedded_broker: EmbeddedBroker,
    topics: Callable[..., str],
    schema_registry: SchemaRegistryServer,
    frame: str,
) -> None:
    from confluent_kafka.schema_registry.avro import AvroDeserializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    settings = KafkaSettings.of(embedded_broker.bootstrap_servers)
    registry = SchemaRegistry.of(schema_registry.url, {})
    out, dead = topics("out"), topics("dead")
    serialize = peers.avro(schema_registry.url, SCHEMA, frame)
    good = [
        peers.message(serialize, {"id": str(n), "title": title}) for n, title in enumerate(TITLES)
    ]
    bad = [
        Message(frame_of_id(99) + b"x"),
        Message(b'{"title": "no Avro"}'),
        Message(b"\xff", headers=good[0].headers),
    ]
    items = AvroItems.registered(registry, out)
    write_items = WriteOutcomes(KafkaSink(KafkaTopic(settings, out, items=items)))
    write_letters = WriteOutcomes(KafkaSink(KafkaTopic(settings, dead)), LETTERS)
    step: Any
    with local_pipeline() as p:
        records = p | beam.Create([*good, *bad])
        for step in (
            beam.ParDo(ParseNews(NewsSettings(format="avro"), schema_registry=registry)),
            beam.ParDo(TokenizeNews()),
            RunInference(OnnxTextClassifier()),
            beam.ParDo(Categorize()),
        ):
            records |= step
        _ = records | "Write items" >> write_items | "Write letters" >> write_letters
    written = _read(settings, out)
    found = [AvroItemsReader(registry).read(message) for message in written]
    assert sorted(item.fields["title"] for item in found) == sorted(TITLES)
    assert {item.fields["title"]: item.category for item in found}[TITLES[1]] == "Sports"
    deserialize = AvroDeserializer(peers.client(schema_registry.url))
    for message, item in zip(written, found, strict=True):
        # A header that names the schema of what was read would have readers take it for that.
        assert VALUE_SCHEMA_HEADER not in dict(message.headers)
        context = SerializationContext(out, MessageField.VALUE, list(message.headers))
        as_confluent: Any = deserialize(message.value, context)
        assert (as_confluent["id"], as_confluent["score"]) == (item.id, item.score)
    buried = [(m.value, m.headers) for m in _read(settings, dead)]
    assert sorted(value or b"" for value, _ in buried) == sorted(m.value or b"" for m in bad)
    if frame == "header":
        [headers] = [headers for value, headers in buried if value == b"\xff"]
        assert dict(headers)[VALUE_SCHEMA_HEADER] == dict(good[0].headers)[VALUE_SCHEMA_HEADER]
        letter = dead_letter_from_headers(Message(b"\xff", headers=headers))
        assert letter.error.startswith(f"not valid Avro of schema {guid_of(1)}")


def _read(settings: KafkaSettings, topic: str) -> list[Message]:
    return [message for batch in read_topics("", settings, (topic,)) for message in batch]
