"""A journal: the bundles of a sink, one behind the other, until their files are complete.

A bundle is one frame of it, whatever the number of folders that its outcomes go to, so that one
write makes all of it durable. A frame that was cut off by a kill is told by its check sum: its bundle
was not done, and comes again.

    frame: NEWS | length of the rest | CRC-32 of it | length of the table | table | lines
    table: for each group its kind, folder, identities, and the length of its lines
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple

import msgspec

from transforms.files.partitions import Group, group_of
from transforms.identities import LENGTH, identity
from transforms.records import Outcome

_MAGIC = b"NEWS"
_HEAD = struct.Struct(">4sII")
_LENGTH = struct.Struct(">I")
#: Stands for the identity of what has none.
_UNKNOWN = bytes(LENGTH)


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    """What a frame's table says of one group."""

    kind: str
    folder: str
    identities: bytes
    length: int


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Entry])


class _Chunk(NamedTuple):
    """Where in the journal's file some lines of a group are, and what tells their records apart."""

    offset: int
    length: int
    identities: bytes


def frame(outcomes: Iterable[tuple[Outcome, bytes]], partition_by: tuple[str, ...]) -> bytes:
    """The frame of a bundle.

    Args:
        outcomes: The outcomes, each with its JSON line, without its end.
        partition_by: What folders are named by.
    """
    groups: dict[Group, tuple[list[bytes], list[bytes]]] = {}
    for outcome, line in outcomes:
        identities, lines = groups.setdefault(group_of(outcome, partition_by), ([], []))
        identities.append(identity(outcome) or _UNKNOWN)
        lines.append(line + b"\n")
    blocks = [b"".join(lines) for _, lines in groups.values()]
    table = _encoder.encode(
        [
            _Entry(*group, b"".join(identities), len(block))
            for (group, (identities, _)), block in zip(groups.items(), blocks, strict=True)
        ]
    )
    rest = b"".join([_LENGTH.pack(len(table)), table, *blocks])
    return _HEAD.pack(_MAGIC, len(rest), zlib.crc32(rest)) + rest


class Journal:
    """A journal in a file.

    Args:
        file: The file, open for reading and writing; what it holds is taken over, and what is behind
            its last whole frame is cut off.
        ending: The ending of the files that it becomes.
    """

    def __init__(self, file: IO[bytes], ending: str) -> None:
        self.ending = ending
        self._file = file
        self._chunks: dict[Group, list[_Chunk]] = {}
        self._sizes: Counter[Group] = Counter()
        #: Its bytes in all, and the bytes of lines of the group that has most.
        self.size = self.largest = 0
        self._take_over()

    @property
    def groups(self) -> Sequence[Group]:
        """The groups that it has outcomes of."""
        return list(self._chunks)

    def append(self, data: bytes) -> None:
        """Appends a frame; makes nothing durable.

        Raises:
            OSError: It can't be written; the journal is as it was.
        """
        try:
            left, at = memoryview(data), self.size
            while left:
                written = os.pwrite(self._file.fileno(), left, at)
                left, at = left[written:], at + written
        except OSError:
            os.ftruncate(self._file.fileno(), self.size)
            raise
        self._note(_decoder.decode(_table_of(data)), len(data))

    def lines(self, group: Group) -> Iterator[bytes]:
        """The lines of a group, without their ends: each record once, as it came first."""
        seen: set[bytes] = set()
        for chunk in self._chunks[group]:
            lines = os.pread(self._file.fileno(), chunk.length, chunk.offset).split(b"\n")
            for number, line in enumerate(lines[:-1]):
                own = chunk.identities[number * LENGTH : (number + 1) * LENGTH]
                if own != _UNKNOWN:
                    if own in seen:
                        continue
                    seen.add(own)
                yield line

    def close(self) -> None:
        """Closes its file."""
        self._file.close()

    def _note(self, table: Sequence[_Entry], length: int) -> None:
        at = self.size + length - sum(entry.length for entry in table)
        for entry in table:
            group = Group(entry.kind, entry.folder)
            self._chunks.setdefault(group, []).append(_Chunk(at, entry.length, entry.identities))
            self._sizes[group] += entry.length
            self.largest = max(self.largest, self._sizes[group])
            at += entry.length
        self.size += length

    def _take_over(self) -> None:
        number = self._file.fileno()
        while True:
            head = os.pread(number, _HEAD.size, self.size)
            if len(head) < _HEAD.size:
                break
            magic, length, check = _HEAD.unpack(head)
            rest = os.pread(number, length, self.size + _HEAD.size) if magic == _MAGIC else b""
            if len(rest) != length or zlib.crc32(rest) != check:
                break
            self._note(_decoder.decode(_table_of(head + rest)), len(head) + length)
        if os.fstat(number).st_size > self.size:
            os.ftruncate(number, self.size)


def _table_of(data: bytes) -> bytes:
    [length] = _LENGTH.unpack_from(data, _HEAD.size)
    begin = _HEAD.size + _LENGTH.size
    return data[begin : begin + length]
