"""Messages of plain text, of CSV rows, and of JSON objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from transforms.csv_rows import BadRow, detect_delimiter, fields_of
from transforms.formats.decoder import Decoder, NotNews, json_type, utf8
from transforms.formats.framing import Frame, framed
from transforms.records import Message
from transforms.schema_registry.schemas import Schemas

#: Fields of an item are written again with its result. Encoding them here once, deeper than any sink
#: will, shows that they can be: a few levels below Python's recursion limit they could be read, but
#: not written under a deeper stack.
_NESTING_MARGIN = 100
#: Nobody's stack is so full that fewer levels matter.
_HARMLESS = 100
_encoder = msgspec.json.Encoder()
_TOO_DEEP = "the JSON is nested too deeply"


def _not_unframed(frame: Frame) -> NotNews:
    return NotNews(f"{frame}: give format=avro, protobuf or json, and schema_registry=URL")


def _refuse_framed(message: Message) -> None:
    """Refuses a framed message, whose zero bytes would pass for text."""
    assert message.value is not None
    # UTF-16 begins with one zero byte at most; ids of schemas, below 16 million, with two.
    if message.value[:2] == b"\0\0" and (frame := framed(message)):
        raise _not_unframed(frame)


class TextDecoder(Decoder):
    """Messages of text: one field, `text`."""

    def decode(self, message: Message) -> dict[str, Any]:
        assert message.value is not None
        _refuse_framed(message)
        return {"text": utf8(message.value)}


class CsvDecoder(Decoder):
    """Messages of a CSV row, whose column names come with it, or else are these.

    Args:
        columns: The column names.
        delimiter: What stands between the fields; None is whichever gives a field for each column.
    """

    def __init__(self, columns: Sequence[str] | None, delimiter: str | None) -> None:
        self._columns = columns
        self._delimiter = delimiter

    def decode(self, message: Message) -> dict[str, Any]:
        assert message.value is not None
        _refuse_framed(message)
        columns = message.columns or self._columns
        if not columns:
            raise NotNews("a CSV row without column names: give columns")
        row = utf8(message.value)
        delimiter = message.delimiter or self._delimiter
        if delimiter is None:
            delimiter = detect_delimiter(row, len(columns))
        try:
            found = fields_of(row, delimiter)
        except BadRow as e:
            raise NotNews(str(e)) from None
        if len(found) != len(columns):
            raise NotNews(f"{len(found)} CSV columns, not {len(columns)} as its header has")
        return dict(zip(columns, found, strict=True))


class JsonDecoder(Decoder):
    """Messages of a JSON object, framed (JSON Schema) or not.

    Args:
        schemas: Where schemas are found; None takes no framed messages.
    """

    def __init__(self, schemas: Schemas[bool] | None = None) -> None:
        self._schemas = schemas

    def decode(self, message: Message) -> dict[str, Any]:
        value = message.value
        assert value is not None
        # No JSON begins so. Of a header it need not be known: the value is JSON, or it is not.
        if value[0] <= 1 and (frame := framed(message)):
            value = self._unframed(frame)
        try:
            return json_object(value)
        except NotNews:
            if frame := framed(message):
                self._unframed(frame)
            raise

    def _unframed(self, frame: Frame) -> bytes:
        """The JSON in a frame."""
        if self._schemas is None:
            raise _not_unframed(frame)
        self._schemas.get(frame.schema)
        return frame.payload


def json_object(value: bytes) -> dict[str, Any]:
    """Decodes a JSON object.

    Raises:
        NotNews: It is none, or nested too deeply to be written again.
    """
    try:
        fields = msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        utf8(value)
        raise NotNews(f"not valid JSON: {e}") from None
    except RecursionError:
        raise NotNews(_TOO_DEEP) from None
    if not isinstance(fields, dict):
        raise NotNews(f"a JSON {json_type(fields)}, not an object")
    # It can't be deeper than it has brackets: to count those costs a tenth of trying.
    if value.count(b"{") + value.count(b"[") <= _HARMLESS:
        return fields
    nested: Any = fields
    for _ in range(_NESTING_MARGIN):
        nested = (nested,)
    try:
        _encoder.encode(nested)
    except RecursionError:
        raise NotNews(_TOO_DEEP) from None
    return fields


def made_json(value: Any) -> dict[str, Any]:
    """A record of another format, as JSON says it again.

    Times become ISO 8601, decimals and UUIDs strings, bytes base64; a number that is none (NaN), or
    infinite, null.

    Raises:
        NotNews: It is no record, or nested too deeply.
    """
    try:
        return json_object(_encoder.encode(value))
    except RecursionError:
        raise NotNews("it is nested too deeply") from None
