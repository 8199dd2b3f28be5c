"""Archives: opened by what they hold; whole, damaged or refused, never half."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.files.archives import OpenFile, check

LINES = b"".join(b'{"id": "%d"}\n' % n for n in range(5000))


def lzma_alone(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_ALONE)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lzma_alone,
    "zst": zstd,
    "deflate": zlib.compress,
}
KINDS = pytest.mark.parametrize("kind", PACK)


def read(path: Path) -> bytes:
    with OpenFile(str(path)) as file:
        return b"".join(file.lines())


@KINDS
@pytest.mark.parametrize("upper", [False, True])
def test_a_whole_one(tmp_path: Path, kind: str, upper: bool) -> None:
    path = tmp_path / f"news.jsonl.{kind.upper() if upper else kind}"
    path.write_bytes(PACK[kind](LINES))
    assert read(path) == LINES


@pytest.mark.parametrize("kind", [kind for kind in PACK if kind != "deflate"])
@pytest.mark.parametrize("name", ["news.jsonl", "news", "news.jsonl.gz", "news.bz2"])
def test_the_content_counts_not_the_name(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(PACK[kind](LINES))
    assert read(path) == LINES


def test_text_that_is_named_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl.gz"
    path.write_bytes(LINES)
    assert read(path) == LINES


@pytest.mark.parametrize("kind", [kind for kind in PACK if kind != "lzma"])
def test_several_streams_are_one_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"news.{kind}"
    path.write_bytes(PACK[kind](LINES) + PACK[kind](b"") + PACK[kind](b"last\n"))
    assert read(path) == LINES + b"last\n"


@KINDS
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 1.0])
def test_one_that_is_cut_off_is_damaged(tmp_path: Path, kind: str, share: float) -> None:
    whole = PACK[kind](LINES)
    path = tmp_path / f"news.jsonl.{kind}"
    path.write_bytes(whole[: min(int(len(whole) * share), len(whole) - 1)])
    with pytest.raises(PipelineFailure, match=r"is damaged: .*; get it again, or leave it out"):
        read(path)


@KINDS
def test_what_follows_a_whole_one_is_not_dropped(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"news.jsonl.{kind}"
    path.write_bytes(PACK[kind](LINES) + b"and more")
    with pytest.raises(PipelineFailure, match="is damaged"):
        read(path)


@pytest.mark.parametrize("kind", [kind for kind in PACK if kind != "lzma"])
def test_one_with_bytes_that_changed_is_damaged(tmp_path: Path, kind: str) -> None:
    whole = bytearray(PACK[kind](LINES))
    whole[len(whole) // 2] ^= 0xFF
    path = tmp_path / f"news.jsonl.{kind}"
    path.write_bytes(whole)
    with pytest.raises(PipelineFailure, match="is damaged"):
        read(path)


def a_tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("news.jsonl"))
    return file.getvalue()


def a_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("news.jsonl", LINES)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (a_zip(), "zip archive.*unpack it"),
        (a_tar(), "tar archive.*unpack it"),
        (gzip.compress(a_tar()), "tar archive"),
        (gzip.compress(b"PAR1" + bytes(100)), "Parquet file in an archive.*unpack it"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"\x04\x22\x4d\x18xx", "lz4 -d"),
        ('{"title": "x"}\n'.encode("utf-16"), "UTF-16.*iconv"),
        (b"\x7fELF" + bytes(200), "holds no text"),
    ],
    # Archives hold the time, and names made of it differ from worker to worker.
    ids=["zip", "tar", "tar.gz", "parquet", "7z", "lz4", "utf-16", "binary"],
)
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes, named: str) -> None:
    path = tmp_path / "news.jsonl"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=named):
        check(str(path))


def test_an_archive_in_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl.gz.bz2"
    path.write_bytes(bz2.compress(gzip.compress(LINES)))
    assert read(path) == LINES


def test_an_empty_file_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "news.jsonl"
    path.touch()
    check(str(path))
    assert read(path) == b""
