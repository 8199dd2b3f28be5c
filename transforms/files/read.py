"""Reads files as messages: by micro-batches on local runners, as a bounded collection elsewhere."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam

from transforms.files.archives import OpenFile
from transforms.files.paths import delimiter_of, find, is_local
from transforms.per_process import PerProcess
from transforms.reading import Batch, Reader, Source
from transforms.records import Message
from transforms.rows import messages_of

#: How many bytes of messages a bundle may take, about: with long lines it holds few.
BUNDLE_BYTES = 4 * 1024 * 1024


class Cut(NamedTuple):
    """How files are cut into messages.

    Attributes:
        format: `json`, `csv` or `text`.
        columns: The column names of CSV files without a header line.
        delimiter: What stands between fields of CSV; None goes by the file.
        items: Where the list of items stands in a JSON document; None takes arrays at its top.
    """

    format: str
    columns: Sequence[str] | None = None
    delimiter: str | None = None
    items: str | None = None

    def messages(self, lines: Iterator[bytes], path: str) -> Iterator[Message]:
        """The messages in a file's lines."""
        delimiter = self.delimiter or delimiter_of(path)
        return messages_of(
            lines, path, self.format, self.columns, delimiter=delimiter, items=self.items
        )


class Position(NamedTuple):
    """How far files were read: whole files, and messages of the one after them."""

    file: int = 0
    messages: int = 0


class FileSource(Source):
    """Files, one after the other, in memory that does not grow with them.

    Args:
        paths: The files.
        cut: How to cut them into messages.
        start: Where to start.
        on_through: Told a position once everything up to it is through and written.
    """

    def __init__(
        self,
        paths: Sequence[str],
        cut: Cut,
        start: Position = Position(),
        on_through: Callable[[Position], None] | None = None,
    ) -> None:
        self.paths = tuple(paths)
        self.cut = cut
        self.start = start
        self.on_through = on_through
        self._key = uuid.uuid4().hex

    def shards(self) -> list[str]:
        return ["files"]

    def reader(self, shard: str) -> FileReader:
        return _readers.get(self._key, lambda: FileReader(self))

    def close(self) -> None:
        """Closes what is open in this process."""
        reader = _readers.peek(self._key)
        if reader is not None and _readers.drop(self._key, reader):
            reader.close()


class FileReader(Reader):
    """Reads files; the one that it stands in stays open from bundle to bundle."""

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self._position = Position()
        self._file: OpenFile | None = None
        self._messages: Iterator[Message] = iter(())
        self._bytes = 0
        #: Up to where everything is written.
        self.through: Position | None = None

    def resume(self, position: Any) -> None:
        wanted = self._source.start if position is None else Position(*position)
        self._bytes = 0
        if wanted != self._position:
            self.close()
            self._position = Position(wanted.file)
            for _ in range(wanted.messages):
                if self._next() is None:
                    break
            self._position = wanted
        # The runner hands on what is left of a bundle when the bundle is through, with its sinks.
        self.through = wanted
        if self._source.on_through is not None:
            self._source.on_through(wanted)

    def poll(self, timeout: float, limit: int) -> Batch:
        messages: list[Message] = []
        while len(messages) < limit and self._bytes < BUNDLE_BYTES:
            message = self._next()
            if message is None:
                if self.at_end():
                    break
                continue
            messages.append(message)
            self._bytes += len(message.value or b"")
        return Batch(messages, list(self._position), None)

    def _next(self) -> Message | None:
        """The next message of this file; None where it has ended, and the next one is due."""
        paths = self._source.paths
        if self.at_end():
            return None
        if self._file is None:
            path = paths[self._position.file]
            self._file = OpenFile(path)
            self._messages = self._source.cut.messages(self._file.lines(), path)
        message = next(self._messages, None)
        if message is None:
            self.close()
            self._position = Position(self._position.file + 1)
        else:
            self._position = Position(self._position.file, self._position.messages + 1)
        return message

    def at_end(self) -> bool:
        return self._position.file >= len(self._source.paths)

    def place(self) -> tuple[int, int]:
        """The file that is read, and how many bytes of it were."""
        file = self._file
        return self._position.file, file.position() if file is not None else 0

    def close(self) -> None:
        """Closes the file that it stands in."""
        if self._file is not None:
            self._file.close()
        self._file, self._messages = None, iter(())


_readers: PerProcess[str, FileReader] = PerProcess()


class _ReadFile(beam.DoFn):
    def __init__(self, cut: Cut) -> None:
        super().__init__()
        self._cut = cut

    def process(self, element: str) -> Iterator[Message]:
        with OpenFile(element) as file:
            yield from self._cut.messages(file.lines(), element)


class ReadFromFiles(beam.PTransform):
    """Reads files as `Message`s, one file at a time a worker: a bounded PCollection.

    Args:
        pattern: A path, a folder or a glob pattern.
        format: `json`, `csv` or `text`.
        columns: The column names of CSV files without a header line.
        delimiter: What stands between fields of CSV; None goes by the file.
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
        self._read = _ReadFile(Cut(format, columns, delimiter, items))

    def expand(self, root: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        return (
            root
            | "Name files" >> beam.Create(find(self._pattern).files)
            | "Spread files" >> beam.Reshuffle()
            | "Read files" >> beam.ParDo(self._read).with_output_types(Message)
        )


def sizes_of(paths: Sequence[str]) -> list[int]:
    """The sizes of files, where they can be had: else 0."""
    return [os.path.getsize(p) if is_local(p) and os.path.isfile(p) else 0 for p in paths]
