"""Reads Parquet as JSON lines: newsbeam's own files as what it writes, any other's rows as objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any

import msgspec

from transforms.files.parquet import JSON, OF_ITEMS, OF_LETTERS, PARTITION
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    Message,
    SourcePosition,
    categorized_to_json,
    dead_letter_to_json,
)

#: How a Parquet file begins, and ends.
MAGIC = b"PAR1"
#: Rows that are in memory at once.
_ROWS = 2000


class ParquetLines:
    """A Parquet file that is read line by line.

    Args:
        file: The file; it must be one that can be read at any place.

    Raises:
        ValueError: It is damaged.
    """

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(file)
        except pa.ArrowException as e:
            raise ValueError(str(e)) from None
        schema = self._file.schema_arrow
        self._alike = msgspec.json.decode((schema.metadata or {}).get(PARTITION, b"{}"))
        names = {*schema.names, *self._alike}
        # Columns that came later may be missing in older files.
        if {"id", "category", "scores", JSON} <= names:
            self._line: Callable[[dict[str, Any]], bytes] = _item_line
        elif {"value", "stage", "error_type", "error"} <= names:
            self._line = _letter_line
        else:
            self._line = _encoder.encode

    def __iter__(self) -> Iterator[bytes]:
        import pyarrow as pa

        try:
            for batch in self._file.iter_batches(_ROWS):
                for row in _rows(batch):
                    yield self._line(row | self._alike) + b"\n"
        except (pa.ArrowException, OSError) as e:
            raise ValueError(str(e)) from None


_encoder = msgspec.json.Encoder(enc_hook=str)


def _rows(batch: Any) -> list[dict[str, Any]]:
    """The rows of a batch, in Python's types that JSON has something for."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        kind = column.type
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            # Python's times end at microseconds.
            column = column.cast(pa.timestamp("us", kind.tz), safe=False)
        values = column.to_pylist()
        if pa.types.is_map(kind):
            values = [None if value is None else dict(value) for value in values]
        columns[name] = values
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _item_line(row: dict[str, Any]) -> bytes:
    return categorized_to_json(_item_of(row), envelope=True)


def _letter_line(row: dict[str, Any]) -> bytes:
    return dead_letter_to_json(_letter_of(row))


def _item_of(row: dict[str, Any]) -> CategorizedItem:
    message = _message_of(row, OF_ITEMS)
    row = {name: row.get(name) for name in CategorizedItem.__struct_fields__ if name != "message"}
    row["scores"] = dict(row["scores"])
    row["labels"] = tuple(row["labels"])
    row["source"] = _position(row["source"])
    row[JSON] = msgspec.json.decode(row[JSON])
    if message.key is None and not message.headers:
        return CategorizedItem(**row)
    message = msgspec.structs.replace(message, source=row["source"])
    return CategorizedItem(**row, message=message)


def _letter_of(row: dict[str, Any]) -> DeadLetter:
    message = _message_of(row, OF_LETTERS)
    row = {name: row.get(name) for name in DeadLetter.__struct_fields__ if name != "message"}
    return DeadLetter(message, **row)


def _message_of(row: dict[str, Any], names: tuple[str, ...]) -> Message:
    parts: dict[str, Any] = {name: row.get(name) for name in names}
    parts["headers"] = tuple((h["key"], h["value"]) for h in parts["headers"] or ())
    if parts.get("columns") is not None:
        parts["columns"] = tuple(parts["columns"])
    if "source" in parts:
        parts["source"] = _position(parts["source"])
    return Message(**{"value": None, **parts})


def _position(row: dict[str, Any] | None) -> SourcePosition | None:
    if row is None:
        return None
    return msgspec.convert({k: v for k, v in row.items() if v is not None}, SourcePosition)
