"""Messages of Protobuf, whose schemas are in a registry."""

from __future__ import annotations

import base64
import importlib
from typing import Any

from google.protobuf import descriptor_pb2, json_format
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtobufMessage
from google.protobuf.message_factory import GetMessageClass

from transforms.formats.decoder import Decoder, NotNews
from transforms.formats.framing import SchemaRef, framed
from transforms.formats.plain import made_json
from transforms.formats.proto_source import compiled, compiler_is_there
from transforms.records import Message
from transforms.schema_registry.client import (
    Reference,
    RegisteredSchema,
    RegistryClient,
    RegistryUnreachable,
)
from transforms.schema_registry.schemas import RegistryFailure, Schemas
from transforms.schema_registry.settings import SchemaRegistry

#: How a registry is asked for a schema such as protoc compiles it, a FileDescriptorProto.
_SERIALIZED = "serialized"
#: The name of the file of a schema itself.
_FILE = "schema_of_a_message.proto"
#: Where the modules of files are that come with compilers and libraries.
_MODULES = {
    "google/": "google.",
    "confluent/": "confluent_kafka.schema_registry.confluent.",
}


class ProtobufFile:
    """The messages of a schema.

    Args:
        file: Its file, compiled.
        pool: All files that it needs.
    """

    def __init__(self, file: FileDescriptor, pool: DescriptorPool) -> None:
        self.pool = pool
        self._messages = list(file.message_types_by_name.values())
        self._classes: dict[tuple[int, ...], type[ProtobufMessage]] = {}

    def class_of(self, indexes: tuple[int, ...]) -> type[ProtobufMessage]:
        """The class of the message with these indexes, from outside in.

        Raises:
            NotNews: There is none.
        """
        if indexes not in self._classes:
            messages, found = self._messages, None
            for index in indexes:
                if not 0 <= index < len(messages):
                    raise NotNews(f"its schema has no message {'.'.join(map(str, indexes))}")
                found = messages[index]
                messages = _nested(found)
            assert found is not None
            self._classes[indexes] = GetMessageClass(found)
        return self._classes[indexes]


def _nested(message: Descriptor) -> list[Descriptor]:
    return list(message.nested_types)


class ProtobufDecoder(Decoder):
    """Messages of Protobuf, framed.

    Fields have the names of the schema, and are as Protobuf's JSON has them: 64-bit integers are
    strings, times ISO 8601, bytes base64, enums names; what is not set, or is but the default where
    that can't be told apart, is absent.

    Args:
        registry: Where their schemas are.
    """

    def __init__(self, registry: SchemaRegistry) -> None:
        self._schemas = Schemas(registry, "PROTOBUF", protobuf_file)

    def decode(self, message: Message) -> dict[str, Any]:
        frame = framed(message)
        if frame is None:
            raise NotNews(
                f"not framed as Protobuf of a schema registry is: {message.value[:8]!r}"  # type: ignore[index]
            )
        file = self._schemas.get(frame.schema)
        indexes, payload = frame.message
        made = file.class_of(indexes)()
        try:
            made.ParseFromString(payload)
            fields = json_format.MessageToDict(
                made, preserving_proto_field_name=True, descriptor_pool=file.pool
            )
            return made_json(fields)
        except NotNews:
            raise
        except Exception as e:
            raise NotNews(
                f"not valid Protobuf of {frame.schema}: {e or type(e).__name__}"
            ) from None


def protobuf_file(client: RegistryClient, ref: SchemaRef, schema: RegisteredSchema) -> ProtobufFile:
    """Puts a schema of a registry together with those that it imports.

    Raises:
        NotNews: It can't be.
        RegistryFailure: The registry gives source, and nothing is there to compile it.
    """
    found = _by_id(client, ref)
    pool = DescriptorPool()
    try:
        if _compiled(found.text) is None:
            _add_source(pool, found, client)
        else:
            _add(pool, _FILE, found, client, set())
        return ProtobufFile(pool.FindFileByName(_FILE), pool)
    except (TypeError, KeyError) as e:
        raise NotNews(f"its Protobuf can't be put together: {e}") from None


def _by_id(client: RegistryClient, ref: SchemaRef) -> RegisteredSchema:
    try:
        return client.schema(ref, _SERIALIZED)
    except RegistryUnreachable:
        # Karapace fails (500) where a schema refers to others, but gives it by subject and version:
        # Aiven-Open/karapace#1263.
        if ref.id is None or not (places := client.places(ref)):
            raise
        return client.version(places[0], _SERIALIZED)


def _add(
    pool: DescriptorPool,
    name: str,
    schema: RegisteredSchema,
    client: RegistryClient,
    there: set[str],
) -> None:
    """Adds a file to a pool, after those that it imports."""
    there.add(name)
    file = _compiled(schema.text)
    if file is None:
        raise NotNews(f"the registry gives {name!r} as source, and what imports it compiled")
    file.name = name
    references = {r.name: r for r in schema.references}
    for imported in file.dependency:
        if imported not in there:
            _import(pool, imported, references.get(imported), client, there)
    pool.Add(file)


def _import(
    pool: DescriptorPool,
    name: str,
    reference: Reference | None,
    client: RegistryClient,
    there: set[str],
) -> None:
    if reference is not None:
        _add(pool, name, client.version(reference, _SERIALIZED), client, there)
        return
    there.add(name)
    module = name.removesuffix(".proto").replace("/", ".") + "_pb2"
    for begin, package in _MODULES.items():
        if name.startswith(begin):
            module = package + module.partition(".")[2]
            break
    else:
        raise NotNews(f"it imports {name!r}, and does not refer to it")
    try:
        known: FileDescriptor = importlib.import_module(module).DESCRIPTOR
    except (ImportError, AttributeError):
        raise NotNews(
            f"it imports {name!r}: on workers, pip install 'confluent-kafka[schemaregistry,protobuf]'"
        ) from None
    for other in known.dependencies:
        if other.name not in there:
            _import(pool, other.name, None, client, there)
    pool.AddSerializedFile(known.serialized_pb)


def _compiled(text: str) -> descriptor_pb2.FileDescriptorProto | None:
    """A file from what a registry gives of it, if that is compiled."""
    try:
        return descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text, validate=True))
    except (ValueError, DecodeError):
        return None


def _add_source(pool: DescriptorPool, schema: RegisteredSchema, client: RegistryClient) -> None:
    """Adds a file, and those that it imports, from their source."""
    if not compiler_is_there():
        raise RegistryFailure(
            "the schema registry gives Protobuf as source, and does not compile it "
            "(?format=serialized): pip install 'grpcio-tools<1.81' here and on workers"
        )
    sources = {_FILE: schema.text}
    schemas = [schema]
    for each in schemas:
        for reference in each.references:
            if reference.name not in sources:
                imported = client.version(reference)
                sources[reference.name] = imported.text
                schemas.append(imported)
    for file in compiled(_FILE, sources):
        pool.Add(file)
