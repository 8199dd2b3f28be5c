"""Outcomes in Parquet: the columns, made of the record classes, and how they are written.

An item's columns are its fields, then key and headers of its message; a dead letter's are its message's
fields, the original bytes as `value`, and why it is one. Of the types:

- times are `timestamp[us, UTC]`;
- `scores` is a map from label to score;
- `fields`, which every item may have others of, is JSON text;
- `source` is a struct of `type` and of what any kind of source says of a place, null where it has none;
- `headers` is a list of structs: a header may come twice.

A column that the file's folder is named by (`category=Sports/`) is left out, as Hive, Spark and pandas
do, which else find it twice. Its value is in the file's metadata, so that a file is whole by itself.
"""

from __future__ import annotations

import datetime
import functools
import itertools
import types
import typing
from collections.abc import Collection, Iterable, Iterator
from typing import IO, Any

import msgspec

from transforms.files.partitions import ITEMS
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    Message,
    SourcePosition,
    categorized_from_json,
    dead_letter_from_json,
)

#: Rows of a row group, which readers and this writer have in memory; and its bytes, as JSON.
ROW_GROUP, _ROW_GROUP_BYTES = 20_000, 16 * 1000**2

#: The columns of a message that its item has, and those that its dead letter has.
OF_ITEMS = ("key", "headers")
OF_LETTERS = ("value", "key", "headers", "timestamp", "source", "columns", "delimiter")
#: Where a file's metadata has the values of the columns that its folder is named by: a JSON object.
PARTITION = b"newsbeam.partition"
#: The column that is JSON text.
JSON = "fields"


@functools.cache
def schema_of(kind: str) -> Any:
    """The `pyarrow.Schema` of files with items (`news`), or with dead letters (`dead-letters`)."""
    import pyarrow as pa

    record, of_message = (CategorizedItem, OF_ITEMS) if kind == ITEMS else (DeadLetter, OF_LETTERS)
    of_record, message = typing.get_type_hints(record), typing.get_type_hints(Message)
    columns = {name: of_record[name] for name in record.__struct_fields__ if name != "message"}
    columns |= {name: message[name] for name in of_message}
    return pa.schema([pa.field(name, _type(hint)) for name, hint in columns.items()])


def _type(hint: Any) -> Any:
    """The Arrow type of a field's annotation."""
    import pyarrow as pa

    simple = {
        str: pa.string(),
        bytes: pa.binary(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
        datetime.datetime: pa.timestamp("us", tz="UTC"),
    }
    if hint in simple:
        return simple[hint]
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        kinds = [kind for kind in of if kind is not types.NoneType]
        return _place() if kinds[0] in _POSITIONS else _type(kinds[0])
    if hint in _POSITIONS:
        return _place()
    if origin is dict:
        return pa.string() if of[1] is Any else pa.map_(_type(of[0]), _type(of[1]))
    if origin is tuple and of[-1] is ...:
        return pa.list_(_type(of[0]))
    if origin is tuple:
        return pa.struct([("key", _type(of[0])), ("value", _type(of[1]))])
    raise TypeError(f"no column for {hint}")


_POSITIONS: tuple[type[msgspec.Struct], ...] = typing.get_args(SourcePosition)


def _place() -> Any:
    """A struct of all that the kinds of sources say of a place."""
    import pyarrow as pa

    fields = {"type": pa.string()}
    for kind in _POSITIONS:
        for name, hint in typing.get_type_hints(kind).items():
            if name in kind.__struct_fields__:
                fields[name] = _type(hint)
    return pa.struct(list(fields.items()))


def write_rows(
    file: IO[bytes], kind: str, lines: Iterable[bytes], named_by: Collection[str] = ()
) -> None:
    """Writes a Parquet file.

    Args:
        file: Where to.
        kind: What it holds: `news` or `dead-letters`.
        lines: The outcomes as JSON lines.
        named_by: What the file's folder is named by: columns in which all of its rows are alike.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = schema_of(kind)
    row = _item_row if kind == ITEMS else _letter_row
    rows = ([row(line) for line in batch] for batch in _batches(lines))
    first = next(rows, [])
    alike = {name: first[0][name] for name in named_by if first and name in schema.names}
    if alike:
        schema = pa.schema([field for field in schema if field.name not in alike])
        schema = schema.with_metadata({PARTITION: msgspec.json.encode(alike)})
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in itertools.chain([first] if first else [], rows):
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if len(batch) >= ROW_GROUP or size >= _ROW_GROUP_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _item_row(line: bytes) -> dict[str, Any]:
    item = categorized_from_json(line)
    row = {name: getattr(item, name) for name in item.__struct_fields__ if name != "message"}
    row["scores"] = list(item.scores.items())
    row["source"] = _source_row(item.source)
    row[JSON] = msgspec.json.encode(item.fields).decode()
    return row | _message_row(item.message or Message(None), OF_ITEMS)


def _letter_row(line: bytes) -> dict[str, Any]:
    letter = dead_letter_from_json(line)
    row = {name: getattr(letter, name) for name in letter.__struct_fields__ if name != "message"}
    return row | _message_row(letter.message, OF_LETTERS)


def _message_row(message: Message, names: tuple[str, ...]) -> dict[str, Any]:
    row = {name: getattr(message, name) for name in names}
    row["headers"] = [{"key": name, "value": value} for name, value in message.headers]
    if "source" in row:
        row["source"] = _source_row(message.source)
    return row


def _source_row(source: SourcePosition | None) -> Any:
    return None if source is None else msgspec.to_builtins(source)
