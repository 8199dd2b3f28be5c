"""What an ONNX file computes: its operators and opsets, read without the onnx package."""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

# A field of a protobuf message: its number, and where its bytes begin and end; for a number, the
# number and -1.
_Field: TypeAlias = tuple[int, int, int]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Operators:
    """What an ONNX file is made of.

    Attributes:
        counts: How many nodes each operator has, most first; those outside of ONNX's own set with
            their domain, as `com.microsoft.MultiHeadAttention`.
        opsets: The version of each set of operators; ONNX's own is `ai.onnx`.
        producer: The program that wrote the file, and its version.
    """

    counts: dict[str, int]
    opsets: dict[str, int]
    producer: str

    @property
    def quantized(self) -> bool:
        """Whether products are of integers."""
        return any("Integer" in name or "Quantize" in name or "QA" in name for name in self.counts)


def read_operators(file: Path) -> Operators:
    """Reads an ONNX file; weights are skipped, so that its size does not matter.

    Raises:
        ValueError: It is no ONNX file, or cut off.
        OSError: It cannot be read.
    """
    counts: Counter[str] = Counter()
    opsets: dict[str, int] = {}
    producer = ["", ""]
    with file.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        # The numbers are those of onnx.proto: ModelProto, GraphProto, NodeProto, AttributeProto.
        for number, begin, end in _fields(data, 0, len(data)):
            if number in (2, 3):
                producer[number - 2] = data[begin:end].decode()
            elif number == 7:
                _count(data, begin, end, counts)
            elif number == 8:
                domain, version = "", 0
                for part, first, last in _fields(data, begin, end):
                    if part == 1:
                        domain = data[first:last].decode()
                    elif part == 2:
                        version = first
                opsets[domain or "ai.onnx"] = version
    if not counts:
        raise ValueError("no graph in it")
    return Operators(dict(counts.most_common()), opsets, " ".join(producer).strip())


def _count(data: mmap.mmap, begin: int, end: int, counts: Counter[str]) -> None:
    """Counts the nodes of a graph, and of the graphs inside of its nodes."""
    for number, first, last in _fields(data, begin, end):
        if number != 1:
            continue
        name = domain = ""
        for part, a, b in _fields(data, first, last):
            if part == 4:
                name = data[a:b].decode()
            elif part == 7:
                domain = data[a:b].decode()
            elif part == 5:
                for attribute, c, d in _fields(data, a, b):
                    if attribute in (6, 11):  # a branch of If, the body of Loop
                        _count(data, c, d, counts)
        counts[f"{domain}.{name}" if domain not in ("", "ai.onnx") else name] += 1


def _fields(data: mmap.mmap, place: int, end: int) -> Iterator[_Field]:
    while place < end:
        key, place = _varint(data, place, end)
        kind, number = key & 7, key >> 3
        if kind == _VARINT:
            value, place = _varint(data, place, end)
            yield number, value, -1
        elif kind == _BYTES:
            size, place = _varint(data, place, end)
            if place + size > end:
                raise ValueError("cut off, or no ONNX file")
            yield number, place, place + size
            place += size
        elif kind in (_FIXED32, _FIXED64):
            place += 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("no ONNX file")


def _varint(data: mmap.mmap, place: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while place < end:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            break
    raise ValueError("cut off, or no ONNX file")
