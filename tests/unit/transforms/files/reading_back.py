"""Reads what the sinks wrote by other means than theirs."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow.parquet as pq
import zstandard

from transforms.records import CategorizedItem, Message, categorized_from_json


def lines_of(name: str, data: bytes) -> list[bytes]:
    """The lines of a file of JSON lines."""
    if name.endswith(".gz"):
        data = gzip.decompress(data)
    elif name.endswith(".zst"):
        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    assert not data or data.endswith(b"\n")
    return data.splitlines()


def rows_of(data: bytes) -> list[dict[str, Any]]:
    """The rows of a Parquet file, as pyarrow has them, with what its folder is named by."""
    table = pq.read_table(io.BytesIO(data))
    alike = msgspec.json.decode((table.schema.metadata or {}).get(b"newsbeam.partition", b"{}"))
    return [row | alike for row in table.to_pylist()]


def items_of(name: str, data: bytes) -> Iterator[CategorizedItem]:
    """The items of a file."""
    if not name.endswith(".parquet"):
        yield from map(categorized_from_json, lines_of(name, data))
        return
    for row in rows_of(data):
        key, headers = row.pop("key"), row.pop("headers")
        row["scores"] = dict(row["scores"])
        row["labels"] = tuple(row["labels"])
        row["fields"] = msgspec.json.decode(row["fields"])
        pairs = tuple((h["key"], h["value"]) for h in headers)
        yield CategorizedItem(**row, message=Message(None, key=key, headers=pairs))
