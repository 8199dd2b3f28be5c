"""How Confluent's serializers say in a message which schema of a registry it was written with.

Before the value: a byte 0 and the schema's id in four bytes; or in a header: a byte 1 and the 16 bytes
of its GUID. Readers take either in either place. Behind it Protobuf says which message of the schema it
is: where it stands among the messages of the file, and of those around it.
"""

from __future__ import annotations

import uuid
from typing import NamedTuple

from transforms.formats.decoder import NotNews
from transforms.records import Headers, Message

#: In this header the schema of a value is named, where that is not done before it.
VALUE_SCHEMA_HEADER = "__value_schema_id"

_WITH_ID, _WITH_GUID = 0, 1
_ID_BYTES, _GUID_BYTES = 4, 16
#: Nobody nests messages deeper, nor has a file of more.
_MOST_INDEXES = 1000
_LONGEST_VARINT = 10


class SchemaRef(NamedTuple):
    """Which schema of a registry: one of the two is given."""

    id: int | None = None
    guid: str | None = None

    def __str__(self) -> str:
        return f"schema id {self.id}" if self.guid is None else f"schema {self.guid}"


class Frame(NamedTuple):
    """A framed message.

    Attributes:
        schema: The schema it was written with.
        indexes: Where a header names it, what Protobuf adds; None where that stands in the payload.
        payload: The value without the frame.
    """

    schema: SchemaRef
    indexes: bytes | None
    payload: bytes

    def __str__(self) -> str:
        where = "" if self.indexes is None else f", in its header {VALUE_SCHEMA_HEADER}"
        return f"framed with {self.schema} (Confluent{where})"

    @property
    def message(self) -> tuple[tuple[int, ...], bytes]:
        """Protobuf's indexes of the message, and its bytes.

        Raises:
            NotNews: There are none.
        """
        if self.indexes is not None:
            return _indexes(self.indexes)[0], self.payload
        return _indexes(self.payload)


def framed(message: Message) -> Frame | None:
    """The frame of a message; None where it has none.

    Raises:
        NotNews: Its header says something else.
    """
    value = message.value or b""
    for name, header in message.headers:
        if name == VALUE_SCHEMA_HEADER:
            found = _ref(header or b"")
            if found is None:
                raise NotNews(f"its header {VALUE_SCHEMA_HEADER} names no schema: {header!r}")
            return Frame(found[0], found[1], value)
    # No JSON, text or CSV begins so: the look costs those nothing.
    if value[:1] > b"\1":
        return None
    found = _ref(value)
    return None if found is None else Frame(found[0], None, found[1])


def frame_of_id(schema_id: int) -> bytes:
    """What stands before a value that was written with a schema."""
    return bytes([_WITH_ID]) + schema_id.to_bytes(_ID_BYTES, "big")


def item_headers(message: Message) -> Headers:
    """The headers that go on with an item: not the one that says how its message was encoded."""
    return tuple(h for h in message.user_headers if h[0] != VALUE_SCHEMA_HEADER)


def _ref(data: bytes) -> tuple[SchemaRef, bytes] | None:
    """The schema that bytes begin with, and the rest of them."""
    if not data:
        return None
    if data[0] == _WITH_ID and len(data) > _ID_BYTES:
        end = 1 + _ID_BYTES
        return SchemaRef(id=int.from_bytes(data[1:end], "big")), data[end:]
    if data[0] == _WITH_GUID and len(data) > _GUID_BYTES:
        end = 1 + _GUID_BYTES
        return SchemaRef(guid=str(uuid.UUID(bytes=data[1:end]))), data[end:]
    return None


def _indexes(data: bytes) -> tuple[tuple[int, ...], bytes]:
    """Reads a count and so many indexes; a count of 0 is the first message of the file."""
    count, at = _varint(data, 0)
    if count == 0:
        return (0,), data[at:]
    if not 0 < count <= _MOST_INDEXES:
        raise NotNews(f"not framed as Protobuf is: it has {count} message indexes")
    found = []
    for _ in range(count):
        index, at = _varint(data, at)
        found.append(index)
    return tuple(found), data[at:]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The zigzag number at a place, and the place after it."""
    number = 0
    for n, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        number |= (byte & 0x7F) << 7 * n
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + n + 1
    raise NotNews("not framed as Protobuf is: its message indexes don't end")
