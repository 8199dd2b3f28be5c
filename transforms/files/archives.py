"""Opens files by what they hold: text as it is, compressed text unpacked, Parquet as lines of JSON.

Python's own readers take what comes after a whole archive, and Beam's the point where one was cut
off, for the end of the data. Here an archive is whole, or damaged.
"""

from __future__ import annotations

import bz2
import contextlib
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

import zstandard

from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.files.parquet_lines import MAGIC, ParquetLines
from transforms.files.remote import file_systems

#: Compressed bytes unpacked at once: few, since they may become thirty thousand times as many.
_CHUNK = 4096
#: How much of a file tells what it is.
_HEAD = 1024
#: How many archives in one another are unpacked.
_DEEPEST = 3


class DamagedArchive(Exception):
    """An archive ends too soon, or can't be unpacked."""


class _Kind(NamedTuple):
    """A kind of compression: its name, how files of it begin, and what unpacks one stream of it."""

    name: str
    magic: tuple[bytes, ...]
    new: Callable[[], Any]


_GZIP = _Kind("gzip", (b"\x1f\x8b\x08",), lambda: zlib.decompressobj(31))
_BZIP2 = _Kind(
    "bzip2",
    tuple(
        b"BZh" + bytes([level]) + block
        for level in b"123456789"
        for block in (b"1AY&SY", b"\x17rE8P\x90")
    ),
    bz2.BZ2Decompressor,
)
_XZ = _Kind("xz", (b"\xfd7zXZ\0",), lzma.LZMADecompressor)
_LZMA = _Kind("lzma", (b"\x5d\0\0",), lzma.LZMADecompressor)
_ZSTD = _Kind(
    "zstd",
    (b"\x28\xb5\x2f\xfd", *(bytes([low]) + b"\x2a\x4d\x18" for low in range(0x50, 0x60))),
    lambda: zstandard.ZstdDecompressor().decompressobj(),
)
#: Two bytes that text can have, too: the name must say so.
_DEFLATE = _Kind("deflate", (b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"), zlib.decompressobj)
_BY_CONTENT = (_GZIP, _BZIP2, _XZ, _LZMA, _ZSTD)
#: What the end of a name says of compression.
ENDINGS = {
    "gz": _GZIP, "gzip": _GZIP, "bz2": _BZIP2, "bz": _BZIP2, "xz": _XZ, "lzma": _LZMA,
    "zst": _ZSTD, "zstd": _ZSTD, "deflate": _DEFLATE, "zlib": _DEFLATE, "zz": _DEFLATE,
}  # fmt: skip

#: Programs that unpack what comes through a pipe.
_UNPACKERS = {"gzip": "gzip", "bzip2": "bzip2", "xz": "xz", "lzma": "xz", "zstd": "zstd"}

_TO_LINES = "convert it to JSON lines or CSV"
_UNPACK = "unpack it, and give the files in it"
#: What is no text, where in the file that stands, and what to do.
_REFUSED = (
    (0, b"PK\x03\x04", "a zip archive (or a workbook: save it as CSV)", _UNPACK),
    (0, b"PK\x05\x06", "an empty zip archive", "leave it out"),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!\x1a\x07", "a rar archive", _UNPACK),
    (0, b"\x1f\x9d", "compressed by `compress`", "unpack it with `uncompress`"),
    (0, b"\x04\x22\x4d\x18", "compressed with lz4", "unpack it with `lz4 -d`"),
    (0, b"\xff\x06\0\0sNaPpY", "compressed with snappy", "unpack it"),
    (0, b"PAR1", "a Parquet file in an archive, or in a pipe", _UNPACK),
    (0, b"Obj\x01", "an Avro file", _TO_LINES),
    (0, b"ARROW1\0", "an Arrow file", _TO_LINES),
    (0, b"SQLite format 3\0", "an SQLite database", _TO_LINES),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document", "save it as CSV"),
    (0, b"%PDF-", "a PDF document", _TO_LINES),
)


class _Unpacked(io.RawIOBase):
    """The data of an archive: all streams in it, one after the other."""

    def __init__(self, raw: IO[bytes], new: Callable[[], Any]) -> None:
        super().__init__()
        self._raw = raw
        self._new = new
        self._stream: Any = new()
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            data = b""
            if self._stream.eof:
                # Between two streams there may be zeros: tapes and some writers pad with them.
                data = (self._stream.unused_data or b"").lstrip(b"\0")
                while not data:
                    if not (data := self._raw.read(_CHUNK)):
                        return 0
                    data = data.lstrip(b"\0")
                self._stream = self._new()
            elif not (data := self._raw.read(_CHUNK)):
                raise DamagedArchive("it ends in the middle of its data")
            try:
                self._left = self._stream.decompress(data)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as e:
                raise DamagedArchive(str(e)) from e
            except zstandard.ZstdError as e:
                raise DamagedArchive(str(e)) from e
        n = min(len(buffer), len(self._left))
        buffer[:n] = self._left[:n]
        self._left = self._left[n:]
        return n

    def close(self) -> None:
        self._raw.close()
        super().close()


class OpenFile:
    """A file that is read line by line.

    Args:
        path: The file, on any file system that Beam knows.

    Raises:
        ConfigurationError: It holds no text; says what it is and what to do.
        PipelineFailure: It is an archive that is damaged.
        OSError: It can't be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._raw: Any = _open_raw(path)
        try:
            with self._damage_told():
                self._data: Any = self._unpacked()
                head = _peek(self._data)
                self._rows: ParquetLines | None = None
                if head.startswith(MAGIC) and self._data is self._raw and self._raw.seekable():
                    self._rows = _parquet(self._raw)
                else:
                    _refuse(path, head)
        except BaseException:
            self._raw.close()
            raise

    def _unpacked(self) -> Any:
        data = self._raw
        head = _peek(data)
        kind = _by_content(head) or _by_name(self.path, head)
        # One in another happens to files that are sent through several hands.
        for _ in range(_DEEPEST):
            if kind is None:
                break
            data = io.BufferedReader(_Unpacked(data, kind.new), 65536)
            kind = _by_content(_peek(data))
        return data

    def _damage_told(self) -> _DamageTold:
        return _DamageTold(self.path)

    def lines(self) -> Iterator[bytes]:
        """Its lines, with their ends; a Parquet file's rows are JSON."""
        with self._damage_told():
            if self._rows is not None:
                yield from _told(self._rows)
            else:
                yield from iter(self._data.readline, b"")

    def position(self) -> int:
        """How many bytes of the file have been read, as it lies on its disk."""
        try:
            return int(self._raw.tell())
        except (OSError, ValueError):
            return 0

    def text(self) -> io.TextIOWrapper:
        """Its text, in UTF-8.

        Raises:
            ConfigurationError: It is a Parquet file.
        """
        if self._rows is not None:
            raise ConfigurationError(f"{self.path} is a Parquet file: {_TO_LINES}")
        return io.TextIOWrapper(self._data, encoding="utf-8-sig", newline="")

    def close(self) -> None:
        """Closes the file."""
        self._data.close()
        self._raw.close()

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _parquet(file: Any) -> ParquetLines:
    try:
        return ParquetLines(file)
    except ValueError as e:
        raise DamagedArchive(str(e)) from e


def _told(rows: ParquetLines) -> Iterator[bytes]:
    try:
        yield from rows
    except ValueError as e:
        raise DamagedArchive(str(e)) from e


def _by_content(head: bytes) -> _Kind | None:
    return next((kind for kind in _BY_CONTENT if head.startswith(kind.magic)), None)


def _by_name(path: str, head: bytes) -> _Kind | None:
    """What a name says, where the content is nothing, the first bytes only, or could be text."""
    kind = ENDINGS.get(path.lower().rpartition(".")[2])
    if kind is None or not any(magic.startswith(head[: len(magic)]) for magic in kind.magic):
        return None
    return kind


class _DamageTold:
    """Makes an archive's damage the one line that ends the run: going on would be silent loss."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DamagedArchive):
            raise PipelineFailure(
                f"{self._path} is damaged: {error}; get it again, or leave it out"
            ) from error


def check_piped(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Hands on what comes through a pipe, if it begins as text does.

    Raises:
        ConfigurationError: It does not; says what it is and what to do.
    """
    for number, data in enumerate(chunks):
        if not number:
            head = data[:_HEAD]
            _refuse(name, head)
            if kind := _by_content(head):
                raise ConfigurationError(
                    f"{name} is compressed with {kind.name}: unpack it on the way, as in "
                    f"`{_UNPACKERS[kind.name]} -dc FILE | newsbeam …`"
                )
        yield data


def _open_raw(path: str) -> Any:
    if "://" not in path:
        return open(path, "rb", buffering=65536)
    from apache_beam.io.filesystem import CompressionTypes

    file = file_systems().open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    return file if hasattr(file, "peek") else io.BufferedReader(file)


def _peek(file: Any) -> bytes:
    head: bytes = file.peek(_HEAD)[:_HEAD]
    return head


def _refuse(path: str, head: bytes) -> None:
    for offset, magic, what, fix in _REFUSED:
        if head[offset:].startswith(magic):
            raise ConfigurationError(f"{path} is {what}: {fix}")
    zeros = head.count(0)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and zeros:
        raise ConfigurationError(f"{path} is UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`")
    if len(head) >= 64 and zeros > len(head) // 10:
        raise ConfigurationError(f"{path} holds no text: {_TO_LINES}, or leave it out")


@contextlib.contextmanager
def open_text(path: os.PathLike[str] | str) -> Iterator[IO[str]]:
    """Opens a file for its text, in UTF-8.

    Raises:
        ConfigurationError: It holds no text; says what it is and what to do.
        PipelineFailure: It is an archive that is damaged.
        OSError: It can't be opened.
    """
    with OpenFile(str(path)) as file, _DamageTold(file.path):
        yield file.text()


def check(path: str) -> None:
    """Looks at the beginning of a regular file: can it be read?

    Raises:
        ConfigurationError: It can't.
    """
    if "://" not in path and not os.path.isfile(path):
        return  # A pipe can be read only once.
    try:
        OpenFile(path).close()
    except OSError as e:
        raise ConfigurationError(f"{path} can't be read: {e.strerror or e}") from None
