"""Protobuf of a schema registry, as Confluent's serializer writes it."""

from __future__ import annotations

import base64
import datetime
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from tests.servers.schema_registry import SchemaRegistryServer
from tests.unit.transforms.formats import peers
from tests.unit.transforms.parsing import news, refused
from transforms.failures import PipelineFailure, forget_failures
from transforms.formats import proto_source, protobuf
from transforms.formats.decoder import NotNews
from transforms.formats.framing import frame_of_id
from transforms.parse import ParseNews
from transforms.records import Message
from transforms.schema_registry.settings import SchemaRegistry

CLASSES = peers.news_classes()
NOON = datetime.datetime(2024, 4, 3, 12, tzinfo=datetime.UTC)


def settings(server: SchemaRegistryServer) -> dict[str, Any]:
    return {"format": "protobuf", "schema_registry": SchemaRegistry.of(server.url, {})}


def item() -> Any:
    made = CLASSES["News"](id="7", title="Oil rises", count=2**60, raw=b"\xff", rank=float("nan"))
    made.published.FromDatetime(NOON)
    made.author.name = "N"
    made.tags.extend(["a", "b"])
    return made


@pytest.mark.parametrize("frame", peers.FRAMES)
def test_a_message_whose_file_imports_others(
    schema_registry: SchemaRegistryServer, frame: str
) -> None:
    serialize = peers.protobuf(schema_registry.url, CLASSES["News"], frame)
    message = peers.message(serialize, item())
    found = news(message, **settings(schema_registry))
    assert (found.id, found.text, found.event_time) == ("7", "Oil rises", NOON)
    assert found.fields == {
        "id": "7",
        "title": "Oil rises",
        "count": str(2**60),
        "published": "2024-04-03T12:00:00Z",
        "author": {"name": "N"},
        "raw": "/w==",
        "rank": "NaN",
        "tags": ["a", "b"],
    }
    by_path = news(message, text_fields="author.name,tags.1", **settings(schema_registry))
    assert by_path.text == "N b"


@pytest.mark.parametrize("frame", peers.FRAMES)
def test_a_nested_message(schema_registry: SchemaRegistryServer, frame: str) -> None:
    serialize = peers.protobuf(schema_registry.url, CLASSES["Inner"], frame)
    message = peers.message(serialize, CLASSES["Inner"](title="A"))
    assert news(message, **settings(schema_registry)).fields == {"title": "A"}


def test_what_is_not_set_is_absent(schema_registry: SchemaRegistryServer) -> None:
    serialize = peers.protobuf(schema_registry.url, CLASSES["News"])
    found = news(peers.message(serialize, CLASSES["News"](title="A")), **settings(schema_registry))
    assert (found.fields, found.id) == ({"title": "A"}, "news-0@7")


def test_schemas_are_asked_for_once(schema_registry: SchemaRegistryServer) -> None:
    serialize = peers.protobuf(schema_registry.url, CLASSES["News"])
    messages = [peers.message(serialize, CLASSES["News"](title=t)) for t in "ABC"]
    schema_registry.asked.clear()
    assert [news(m, **settings(schema_registry)).text for m in messages] == ["A", "B", "C"]
    assert schema_registry.asked == [
        "GET /schemas/ids/2",
        "GET /schemas/ids/2?format=serialized",
        "GET /subjects/press%2Fpeople.proto/versions/1?format=serialized",
    ]


def test_karapace_s_way(schema_registry: SchemaRegistryServer) -> None:
    serialize = peers.protobuf(schema_registry.url, CLASSES["News"])
    message = peers.message(serialize, item())
    schema_registry.as_karapace = True
    assert news(message, **settings(schema_registry)).text == "Oil rises"


def _file(**fields: Any) -> str:
    made = descriptor_pb2.FileDescriptorProto(name="f.proto", **fields)
    return base64.b64encode(made.SerializeToString()).decode()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"title", "not framed as Protobuf of a schema registry is: b'title'"),
        (frame_of_id(1), "not framed as Protobuf is: its message indexes don't end"),
        (frame_of_id(1) + b"\xff" * 20, "not framed as Protobuf is: its message indexes don't"),
        (frame_of_id(1) + b"\x03", "not framed as Protobuf is: it has -2 message indexes"),
        (frame_of_id(1) + b"\xfe\xff\x01", "not framed as Protobuf is: it has 16383 message"),
        (frame_of_id(1) + b"\x02\x0e", "its schema has no message 7"),
        (frame_of_id(1) + b"\x04\x00\x00", "its schema has no message 0.0"),
        (frame_of_id(1) + b"\x00\x0a\x7f", "not valid Protobuf of schema id 1: "),
        (frame_of_id(2) + b"\x00", "schema id 2 is of type AVRO: give format=avro for such"),
        (frame_of_id(3) + b"\x00", "it imports 'gone.proto', and does not refer to it"),
        (frame_of_id(4) + b"\x00", "it imports 'google/gone.proto': on workers, pip install"),
        (frame_of_id(5) + b"\x00", "its Protobuf can't be put together"),
        (frame_of_id(6) + b"\x00", "schema id 6 is not known to the schema registry at"),
    ],
)
def test_what_is_none(schema_registry: SchemaRegistryServer, value: bytes, reason: str) -> None:
    kinds = descriptor_pb2.FieldDescriptorProto
    title = kinds(name="title", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    message = descriptor_pb2.DescriptorProto(name="A", field=[title])
    schema_registry.add("news", _file(message_type=[message]), "PROTOBUF")
    schema_registry.add("avro", '"string"')
    schema_registry.add("lost", _file(dependency=["gone.proto"]), "PROTOBUF")
    schema_registry.add("missing", _file(dependency=["google/gone.proto"]), "PROTOBUF")
    title.type, title.type_name = kinds.TYPE_MESSAGE, ".none.Such"
    broken = descriptor_pb2.DescriptorProto(name="A", field=[title])
    schema_registry.add("broken", _file(message_type=[broken]), "PROTOBUF")
    assert reason in refused(Message(value), **settings(schema_registry))


# ---- registries that do not compile ----------------------------------------------------------------

PEOPLE = 'syntax = "proto3"; package press; message Author { string name = 1; }'
SOURCE = """
syntax = "proto3";
package press;
import "press/people.proto";
import "google/protobuf/timestamp.proto";
message Other { message Inner { string title = 1; } }
message News { string id = 1; string title = 2; google.protobuf.Timestamp published = 4;
    Author author = 5; }
"""


def test_source_that_nothing_here_compiles(
    schema_registry: SchemaRegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protobuf, "compiler_is_there", lambda: False)
    schema_registry.as_apicurio = True
    schema_registry.add("news", PEOPLE, "PROTOBUF")
    step = ParseNews(**settings(schema_registry))
    with pytest.raises(PipelineFailure, match=r"gives Protobuf as source.* pip install 'grpcio-to"):
        list(step.process(Message(frame_of_id(1) + b"\0")))
    forget_failures()


def test_source(schema_registry: SchemaRegistryServer) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    schema_registry.as_apicurio = True
    schema_registry.add("people", PEOPLE, "PROTOBUF")
    reference = ("press/people.proto", "people", 1)
    news_id = schema_registry.add("news", SOURCE, "PROTOBUF", [reference])
    made = CLASSES["News"](id="7", title="Oil rises")
    made.published.FromDatetime(NOON)
    made.author.name = "N"
    value = frame_of_id(news_id) + b"\x02\x02" + made.SerializeToString()
    found = news(value, **settings(schema_registry))
    assert (found.id, found.text, found.event_time) == ("7", "Oil rises", NOON)
    assert found.fields["author"] == {"name": "N"}


@pytest.mark.parametrize(
    ("source", "name", "reason"),
    [
        ("message {", "other.proto", "protoc can't compile it: /schema_of_a_message.proto:1:"),
        (SOURCE, "other.proto", "protoc can't compile it: "),
        (SOURCE, "../up.proto", "it imports '../up.proto', which is no name of a file"),
        (SOURCE, "/etc/up.proto", "it imports '/etc/up.proto', which is no name of a file"),
    ],
)
def test_source_that_is_none(
    schema_registry: SchemaRegistryServer, source: str, name: str, reason: str
) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    schema_registry.as_apicurio = True
    schema_registry.add("other", PEOPLE, "PROTOBUF")
    id = schema_registry.add("news", source, "PROTOBUF", [(name, "other", 1)])
    assert reason in refused(frame_of_id(id) + b"\0", **settings(schema_registry))


def test_source_that_takes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    monkeypatch.setattr(proto_source, "_TIMEOUT", 0.0)
    with pytest.raises(NotNews, match="protoc does not compile it in"):
        proto_source.compiled("a.proto", {"a.proto": SOURCE})
