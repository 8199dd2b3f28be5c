"""Messages as Confluent's own serializers write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, timestamp_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from transforms.records import KafkaPosition, Message

confluent = pytest.importorskip("confluent_kafka.schema_registry")
serialization = pytest.importorskip("confluent_kafka.serialization")

Serialize = Callable[[Any, Any], bytes]

#: What Confluent's serializers do with the id of a schema: before the value, or in a header.
FRAMES = {
    "prefix": {},
    "header": {"schema.id.serializer": confluent.header_schema_id_serializer},
}


def client(url: str) -> Any:
    return confluent.SchemaRegistryClient({"url": url})


def message(serialize: Serialize, value: Any, topic: str = "news") -> Message:
    """A message of a topic, serialized, with the headers that come with it."""
    headers: list[tuple[str, bytes]] = []
    context = serialization.SerializationContext(topic, serialization.MessageField.VALUE, headers)
    data = serialize(value, context)
    return Message(
        data, headers=tuple(headers), source=KafkaPosition(topic, 0, 7), timestamp=1_600_000_000_000
    )


def avro(url: str, schema: Any, frame: str = "prefix", **conf: Any) -> Serialize:
    """A serializer of Avro; it registers its schema."""
    from confluent_kafka.schema_registry.avro import AvroSerializer

    text = schema if isinstance(schema, confluent.Schema) else json.dumps(schema)
    return AvroSerializer(client(url), text, conf={**FRAMES[frame], **conf})


def json_schema(url: str, schema: Any, frame: str = "prefix") -> Serialize:
    """A serializer of JSON with a schema."""
    from confluent_kafka.schema_registry.json_schema import JSONSerializer

    return JSONSerializer(json.dumps(schema), client(url), conf=FRAMES[frame])


def protobuf(url: str, kind: Any, frame: str = "prefix") -> Serialize:
    """A serializer of a class of Protobuf messages."""
    from confluent_kafka.schema_registry.protobuf import ProtobufSerializer

    return ProtobufSerializer(kind, client(url), conf=FRAMES[frame])


def news_classes() -> dict[str, Any]:
    """Classes of a file of Protobuf that imports another, as protoc would make them.

    message Other { message Inner { string title = 1; } }
    message News { string id = 1; string title = 2; int64 count = 3; google.protobuf.Timestamp
        published = 4; Author author = 5; bytes raw = 6; double rank = 7; repeated string tags = 8; }
    """
    people = descriptor_pb2.FileDescriptorProto(name="press/people.proto", package="press")
    people.syntax = "proto3"
    _field(people.message_type.add(name="Author"), "name", 1, "STRING")
    news = descriptor_pb2.FileDescriptorProto(name="press/news.proto", package="press")
    news.syntax = "proto3"
    news.dependency.extend(["press/people.proto", "google/protobuf/timestamp.proto"])
    other = news.message_type.add(name="Other")
    _field(other.nested_type.add(name="Inner"), "title", 1, "STRING")
    item = news.message_type.add(name="News")
    _field(item, "id", 1, "STRING")
    _field(item, "title", 2, "STRING")
    _field(item, "count", 3, "INT64")
    _field(item, "published", 4, "MESSAGE").type_name = ".google.protobuf.Timestamp"
    _field(item, "author", 5, "MESSAGE").type_name = ".press.Author"
    _field(item, "raw", 6, "BYTES")
    _field(item, "rank", 7, "DOUBLE")
    _field(item, "tags", 8, "STRING", repeated=True)
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(people)
    pool.Add(news)
    found = pool.FindFileByName("press/news.proto").message_types_by_name
    return {
        "News": GetMessageClass(found["News"]),
        "Inner": GetMessageClass(found["Other"].nested_types_by_name["Inner"]),
    }


def _field(
    message: descriptor_pb2.DescriptorProto,
    name: str,
    number: int,
    type: str,
    repeated: bool = False,
) -> descriptor_pb2.FieldDescriptorProto:
    kinds = descriptor_pb2.FieldDescriptorProto
    return message.field.add(
        name=name,
        number=number,
        type=kinds.Type.Value(f"TYPE_{type}"),
        label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL,
    )
