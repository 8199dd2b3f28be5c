"""How complete files are written: JSON lines, compressed or not, or Parquet."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Collection, Iterable
from typing import IO, Any

import zstandard

from transforms.files.parquet import write_rows


def write_file(
    file: IO[bytes],
    ending: str,
    kind: str,
    lines: Iterable[bytes],
    named_by: Collection[str] = (),
) -> None:
    """Writes a whole file; the same lines make the same bytes.

    Args:
        file: Where to.
        ending: The ending of its name: `jsonl`, `jsonl.gz`, `jsonl.zst` or `parquet`.
        kind: What it holds: `news` or `dead-letters`.
        lines: The outcomes as JSON lines, without their ends.
        named_by: What its folder is named by, whose columns Parquet leaves out.
    """
    if ending == "parquet":
        write_rows(file, kind, lines, named_by)
        return
    with _compressor(file, ending) as out:
        for line in lines:
            out.write(line + b"\n")


def _compressor(file: IO[bytes], ending: str) -> Any:
    if ending.endswith(".gz"):
        return gzip.GzipFile("", "wb", 6, file, mtime=0)
    if ending.endswith(".zst"):
        return zstandard.ZstdCompressor().stream_writer(file, closefd=False)
    return contextlib.nullcontext(file)
