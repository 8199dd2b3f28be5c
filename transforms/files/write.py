"""Outcomes as JSON lines in files: appended bundle by bundle, or written whole."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import stat
import threading
from collections.abc import Callable, Iterable, Sequence
from io import FileIO

import apache_beam as beam
import zstandard

from transforms.failures import PipelineFailure
from transforms.records import (
    DeadLetter,
    Outcome,
    Record,
    categorized_to_json,
    dead_letter_to_json,
)
from transforms.writing import ALL, Share, Sink, Writer

#: How what is appended is compressed: archives of several streams one after the other are whole.
_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


def compressed(path: str, data: bytes) -> bytes:
    """Data as a file of that name holds it."""
    compress = _COMPRESS.get(path.lower().rpartition(".")[2])
    return compress(data) if compress else data


def compressed_ending(path: str) -> str:
    """The end of a name that says that its file is compressed: `.gz`, say, or nothing."""
    _, dot, ending = path.rpartition(".")
    return dot + ending if dot and ending.lower() in _COMPRESS else ""


def to_line(outcome: Outcome) -> bytes:
    """The JSON line of an outcome, without its end; key and headers of its message included."""
    if isinstance(outcome, DeadLetter):
        return dead_letter_to_json(outcome)
    return categorized_to_json(outcome, envelope=True)


class WriteToFile(beam.PTransform):
    """Writes outcomes of a bounded stream to one file of JSON lines, which appears when complete.

    It gives the outcomes that are not its own.

    Args:
        path: The file, which Beam takes for a pattern when it cleans up; `.gz` is compressed.
        share: Which outcomes are its own.
    """

    def __init__(self, path: str, share: Share = ALL) -> None:
        super().__init__()
        self._path = path
        self._share = share

    def expand(self, outcomes: beam.PCollection[Outcome]) -> beam.PCollection[Outcome]:
        share = self._share
        _ = (
            outcomes
            | "Take" >> beam.Filter(share.takes).with_output_types(Record)
            | "To JSON" >> beam.Map(to_line).with_output_types(bytes)
            | "Write"
            >> beam.io.WriteToText(
                self._path, num_shards=1, shard_name_template="", coder=beam.coders.BytesCoder()
            )
        )
        rest = beam.Filter(lambda outcome: not share.takes(outcome))
        return outcomes | "Pass on" >> rest.with_output_types(Record)


class LinesSink(Sink):
    """Where JSON lines go, bundle by bundle.

    Args:
        write: Writes lines; they are durable when it returns.
    """

    def __init__(self, write: Callable[[Sequence[bytes]], None]) -> None:
        self._write = write

    def writer(self) -> LinesWriter:
        return LinesWriter(self._write)


class LinesWriter(Writer):
    """Hands a bundle's lines over when the bundle is complete."""

    def __init__(self, write: Callable[[Sequence[bytes]], None]) -> None:
        self._write = write
        self._lines: list[bytes] = []

    def add(self, outcome: Outcome) -> None:
        self._lines.append(to_line(outcome) + b"\n")

    def flush(self) -> Iterable[DeadLetter]:
        lines = self._lines
        self.forget()
        if lines:
            self._write(lines)
        return ()

    def forget(self) -> None:
        self._lines = []


_append_lock = threading.Lock()


class _Append:
    """Appends lines to a local file, on disk when it returns."""

    def __init__(self, path: str, name: str | None = None) -> None:
        self._path = path
        self._name = name or path

    def __call__(self, lines: Sequence[bytes]) -> None:
        data = compressed(self._name, b"".join(lines))
        try:
            with _append_lock, open(self._path, "ab", buffering=0) as f:
                self._append(f, data)
        except OSError as e:
            raise PipelineFailure(
                f"{self._name} can't be written any further: {e.strerror or e}"
            ) from e

    def _append(self, file: FileIO, data: bytes) -> None:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        end = file.tell() if regular else 0
        if end and not compressed_ending(self._name) and _ends_within_a_line(self._path):
            # A run that was killed has left half a line: it must not take the next one with it.
            data = b"\n" + data
        try:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
            if regular:
                os.fsync(file.fileno())
        except OSError:
            # A line that was cut off would spoil the next one.
            if regular:
                with contextlib.suppress(OSError):
                    file.truncate(end)
            raise


def _ends_within_a_line(path: str) -> bool:
    with contextlib.suppress(OSError), open(path, "rb") as f:
        f.seek(-1, os.SEEK_END)
        return f.read(1) != b"\n"
    return False


class FileSink(LinesSink):
    """A local file of JSON lines, to which bundles are appended.

    Args:
        path: The file, on the machine of the worker.
        name: The name that says whether it is compressed (`.gz`, `.bz2`, `.xz`, `.zst`), where that
            is another.
    """

    def __init__(self, path: str, name: str | None = None) -> None:
        super().__init__(_Append(path, name))
