"""News in files: JSON lines, CSV, plain text; on any file system that Beam knows, `.gz` too."""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.io.filesystem import CompressionTypes

from transforms.failures import PipelineFailure
from transforms.records import (
    DeadLetter,
    Message,
    Outcome,
    categorized_to_json,
    dead_letter_to_json,
)
from transforms.rows import messages_of


class _ReadFile(beam.DoFn):
    def __init__(
        self,
        format: str,
        columns: Sequence[str] | None,
        delimiter: str | None,
        items: str | None,
    ) -> None:
        super().__init__()
        self._format = format
        self._columns = columns
        self._delimiter = delimiter
        self._items = items

    def process(self, element: fileio.ReadableFile) -> Iterator[Message]:
        path = element.metadata.path
        with _open(element) as f:
            lines = _whole(iter(f.readline, b""), path)
            yield from messages_of(
                lines,
                path,
                self._format,
                self._columns,
                delimiter=self._delimiter,
                items=self._items,
            )


def _open(file: fileio.ReadableFile) -> Any:
    if not file.metadata.path.endswith(".gz"):
        return file.open()
    # Beam takes the point where an archive was cut off for the end of its data.
    return gzip.GzipFile(fileobj=file.open(compression_type=CompressionTypes.UNCOMPRESSED))


def _whole(lines: Iterable[bytes], path: str) -> Iterator[bytes]:
    """The lines of a file that is whole.

    Raises:
        PipelineFailure: It isn't: going on would be silent loss.
    """
    try:
        yield from lines
    except (EOFError, gzip.BadGzipFile, zlib.error) as e:
        raise PipelineFailure(f"{path} is damaged: {e}; get it again, or leave it out") from e


class ReadFromFiles(beam.PTransform):
    """Reads files as `Message`s, one file at a time a worker: a bounded PCollection.

    Args:
        pattern: A path or glob pattern.
        format: `json`, `csv` or `text`.
        columns: The column names of CSV files without a header line.
        delimiter: What stands between the fields of CSV; None goes by the first row.
        items: Where the list of items stands in a JSON document; None takes arrays at its top.
    """

    def __init__(
        self,
        pattern: str,
        format: str,
        columns: Sequence[str] | None = None,
        delimiter: str | None = None,
        items: str | None = None,
    ) -> None:
        super().__init__()
        self._pattern = pattern
        self._read = _ReadFile(format, columns, delimiter, items)

    def expand(self, root: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        return (
            root
            | "Match files" >> fileio.MatchFiles(self._pattern)
            | "Spread files" >> beam.Reshuffle()
            | "Open files" >> fileio.ReadMatches()
            | "Read files" >> beam.ParDo(self._read).with_output_types(Message)
        )


def to_line(outcome: Outcome) -> bytes:
    """The JSON line of an outcome, without its end; key and headers of its message included."""
    if isinstance(outcome, DeadLetter):
        return dead_letter_to_json(outcome)
    return categorized_to_json(outcome, envelope=True)


class WriteToFile(beam.PTransform):
    """Writes a bounded stream of outcomes to one file of JSON lines, which appears when complete.

    Args:
        path: The file; `.gz` is compressed.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def expand(self, outcomes: beam.PCollection[Outcome]) -> beam.PCollection[str]:
        return (
            outcomes
            | "To JSON" >> beam.Map(to_line).with_output_types(bytes)
            | "Write"
            >> beam.io.WriteToText(
                self._path, num_shards=1, shard_name_template="", coder=beam.coders.BytesCoder()
            )
        )


class WriteLines(beam.DoFn):
    """Hands a bundle's lines to a writer when the bundle is complete."""

    def __init__(self, write: Callable[[Sequence[bytes]], None]) -> None:
        super().__init__()
        self._write = write

    def start_bundle(self) -> None:
        self._lines: list[bytes] = []

    def process(self, element: Outcome) -> None:
        self._lines.append(to_line(element) + b"\n")

    def finish_bundle(self) -> None:
        if self._lines:
            self._write(self._lines)
            self._lines = []


_append_lock = threading.Lock()


class _Append:
    """Appends lines to a local file, on disk when it returns."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, lines: Sequence[bytes]) -> None:
        data = b"".join(lines)
        if self._path.endswith(".gz"):
            data = gzip.compress(data)
        with _append_lock, open(self._path, "ab", buffering=0) as f:
            end = f.tell()
            try:
                left = memoryview(data)
                while left:
                    left = left[f.write(left) :]
                os.fsync(f.fileno())
            except OSError:
                # A line that was cut off would spoil the next one.
                with contextlib.suppress(OSError):
                    f.truncate(end)
                raise


class AppendToFile(beam.PTransform):
    """Appends an unbounded stream of outcomes to a local file of JSON lines, bundle by bundle.

    Args:
        path: The file, on the machine of the worker; `.gz` is compressed.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._append = _Append(path)

    def expand(self, outcomes: beam.PCollection[Outcome]) -> beam.PCollection[None]:
        return outcomes | "Append" >> beam.ParDo(WriteLines(self._append))
