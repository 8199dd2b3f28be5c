"""Files by path or pattern, as sources, sinks and dead letters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from models.settings import SettingsSet
from pipeline.ends.end import End, Peek, Role, Run, SinkEnd, SourceEnd
from pipeline.ends.files.query import file_query, without_query
from pipeline.ends.records import Records
from transforms.errors import ConfigurationError
from transforms.files.paths import format_by_name
from transforms.news_settings import NewsSettings
from transforms.records import Message

if TYPE_CHECKING:
    import apache_beam as beam

    from transforms.files.progress import Part, Progress
    from transforms.files.read import FileSource
    from transforms.writing import Share


@dataclass(frozen=True)
class FileEnd(End):
    """Files by path or pattern, on any file system that Beam knows.

    Attributes:
        path: The path or glob pattern.
    """

    path: str

    SCHEME: ClassVar[str] = "file"
    FORM: ClassVar[str] = "a path"

    @classmethod
    def parse(cls, uri: str) -> FileEnd:
        if uri.lower().startswith("file:"):
            if not uri.lower().startswith("file://"):
                raise ConfigurationError(f"{uri!r} is no file URI: write file:///path, or the path")
            name = uri.split("://", 1)[1]
        else:
            name = uri
        path, text = without_query(uri, name)
        query = file_query(uri, text)
        if not path:
            raise ConfigurationError(f"{uri!r} names no file: write file:///path, or the path")
        return cls(uri, path, records=Records.of(uri, query))

    def news(self, news: NewsSettings) -> NewsSettings:
        return self.records.over(news, format_by_name(self.path))

    def is_same_place(self, other: End) -> bool:
        return isinstance(other, FileEnd) and self.path == other.path

    def beside(self) -> End | None:
        from transforms.files.write import compressed_ending

        # Beside a device or a pipe (`/dev/null`, the `>(…)` of a shell) is no place for a file.
        if _is_device_or_pipe(self.path):
            return None
        end = compressed_ending(self.path)
        stem = self.path.removesuffix(end).removesuffix(".jsonl")
        path = f"{stem}.dead_letters.jsonl{end}"
        return FileEnd(path, path)

    def source(self, run: Run) -> FileFrom:
        return FileFrom(self, run)

    def sink(self, role: Role, run: Run) -> FileTo:
        if self.records != Records():
            raise ConfigurationError(
                f"{role} {self.uri!r}: what stands after ? is for sources only"
            )
        return FileTo(self, role, run)

    def peek(self, how: Peek, options: SettingsSet) -> Iterator[list[Message]]:
        from pipeline.ends.files.peek import read_files

        if how.follow:
            raise ConfigurationError(
                f"--follow can't wait for more of {self.uri!r}: give a kafka:// URI"
            )
        return read_files(self.path)


def _is_device_or_pipe(path: str) -> bool:
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))


@dataclass(frozen=True)
class FileFrom(SourceEnd):
    """Files that are read.

    Attributes:
        reading: The files to read by micro-batches, where the runner is local.
        parts: The files that grow beside their targets until the run is complete.
        progress: How far the run has come, where that is kept.
    """

    end: FileEnd
    reading: FileSource | None = None
    parts: tuple[Part, ...] = ()
    progress: Progress | None = None

    @property
    def bounded(self) -> bool:
        return not self.run.local

    def read(self) -> beam.PTransform:
        from transforms.files.read import ReadFromFiles
        from transforms.reading import ReadUnbounded

        if self.reading is not None:
            return ReadUnbounded(self.reading)
        news = self.run.news
        assert news.format is not None
        return ReadFromFiles(self.end.path, news.format, news.columns, news.delimiter, news.items)

    def begin(self) -> None:
        if self.reading is not None:
            from pipeline.ends.files.runs import begin

            begin(self.reading, self.progress)

    def complete(self) -> None:
        if self.reading is not None and self.progress is not None:
            from pipeline.ends.files.runs import complete

            complete(self.reading, self.progress, self.parts)

    def close(self) -> None:
        if self.reading is not None:
            self.reading.close()


@dataclass(frozen=True)
class FileTo(SinkEnd):
    """A file that is written to.

    Attributes:
        part: What grows in its place until the run is complete, if anything does.
        bounded: Whether what comes is a bounded collection, and the file appears when it is whole.
    """

    end: FileEnd
    part: Part | None = None
    bounded: bool = False

    def write(self, share: Share) -> beam.PTransform:
        from transforms.files.write import FileSink, WriteToFile
        from transforms.writing import WriteOutcomes

        if self.bounded:
            return WriteToFile(self.end.path, share)
        if self.part is not None:
            return WriteOutcomes(FileSink(self.part.path, self.part.target), share)
        return WriteOutcomes(FileSink(self.end.path), share)
