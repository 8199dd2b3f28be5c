"""Files by path or pattern, as sources, sinks and dead letters."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from models.settings import SettingsSet
from pipeline.ends.end import End, Obstacle, Peek, Role, Run, SinkEnd, SourceEnd
from pipeline.ends.files.query import (
    check_sink_query,
    check_source_query,
    file_query,
    without_query,
)
from pipeline.ends.letters import Letters, Taking
from pipeline.ends.records import Records
from transforms.errors import ConfigurationError
from transforms.files.folder_options import FORMATS as FOLDER_FORMATS
from transforms.files.partitions import NOT_OF_LETTERS
from transforms.files.paths import format_by_name, is_local
from transforms.news_settings import NewsSettings
from transforms.records import Message
from transforms.rows import FORMATS as OF_LINES

if TYPE_CHECKING:
    import apache_beam as beam

    from transforms.files.folder_options import FolderOptions
    from transforms.files.progress import Part, Progress
    from transforms.files.read import FileSource
    from transforms.writing import Share


@dataclass(frozen=True)
class FileEnd(End):
    """Files by path or pattern, or a folder of them, here or in an object store.

    Attributes:
        path: The path or glob pattern.
        query: What stood after `?`.
    """

    path: str
    query: dict[str, str] = field(default_factory=dict, hash=False)

    SCHEMES: ClassVar[tuple[str, ...]] = ("file", "gs", "s3")
    FORM: ClassVar[str] = "a path (file://, gs://, s3:// too)"
    FINITE: ClassVar[bool] = True

    @classmethod
    def parse(cls, uri: str) -> FileEnd:
        scheme, colon, rest = uri.partition(":")
        if colon and scheme.lower() in cls.SCHEMES and not rest.startswith("//"):
            raise ConfigurationError(
                f"{uri!r} is no {scheme} URI: write {scheme}:///path, or the path"
            )
        name = rest.removeprefix("//") if colon and scheme.lower() == "file" else uri
        path, text = without_query(uri, name)
        query = file_query(uri, text)
        if not path:
            raise ConfigurationError(f"{uri!r} names no file: write file:///path, or the path")
        # That of a sink is another matter.
        of_records = {k: v for k, v in query.items() if k != "format" or v not in FOLDER_FORMATS}
        if query.get("format") in OF_LINES:
            of_records = query
        return cls(uri, path, query, records=Records.of(uri, of_records))

    def news(self, news: NewsSettings) -> NewsSettings:
        return self.records.of_lines(news, format_by_name(self.path))

    def is_same_place(self, other: End) -> bool:
        return isinstance(other, FileEnd) and self.path.rstrip("/") == other.path.rstrip("/")

    def beside(self) -> End | None:
        from transforms.files.folder_options import is_folder
        from transforms.files.write import compressed_ending

        # Beside a device or a pipe (`/dev/null`, the `>(…)` of a shell) is no place for a file.
        if _is_device_or_pipe(self.path):
            return None
        if self.path.lower().endswith(".parquet"):
            stem, ending = self.path[: -len(".parquet")], self.path[-len(".parquet") :]
            return self._with(f"{stem}.dead_letters{ending}")
        if self._is_folder() or is_folder(self.path, self.query):
            return self._with(f"{self.path.rstrip('/')}-dead-letters/")
        end = compressed_ending(self.path)
        stem = self.path.removesuffix(end).removesuffix(".jsonl")
        return self._with(f"{stem}.dead_letters.jsonl{end}")

    def _with(self, path: str) -> FileEnd:
        """The same kind of files at another path, for dead letters, which have no category."""
        query = dict(self.query)
        names = query.pop("partition_by", "").split(",")
        if kept := [name for name in names if name and name.strip().lower() != NOT_OF_LETTERS]:
            query["partition_by"] = ",".join(kept)
        text = "&".join(f"{name}={value}" for name, value in query.items())
        return FileEnd(path + (f"?{text}" if text else ""), path, query)

    def _is_folder(self) -> bool:
        """Whether its URI can only be that of a folder."""
        return "format" in self.query

    def source(self, run: Run) -> FileFrom:
        check_source_query(self.uri, self.query)
        return FileFrom(self, run)

    def sink(self, role: Role, run: Run) -> SinkEnd:
        check_sink_query(role, self.uri, self.query)
        from transforms.files.folder_options import FolderOptions, is_folder

        # What grows on this machine becomes one file; what remote workers write of Parquet does not.
        one_file = run.finite and (run.local or not self.path.lower().endswith(".parquet"))
        in_store = not is_local(self.path) and run.local
        if self._is_folder() or in_store or is_folder(self.path, self.query, bounded=one_file):
            options = FolderOptions.of(self.uri, self.path, self.query)
            return FolderTo(self, role, run, options)
        return FileTo(self, role, run)

    def peek(self, how: Peek, options: SettingsSet) -> Generator[list[Message]]:
        from pipeline.ends.files.peek import read_files

        if how.follow:
            raise ConfigurationError(
                f"--follow can't wait for more of {self.uri!r}: give a kafka:// URI"
            )
        return read_files(self.path)

    def letters(self, how: Taking, options: SettingsSet) -> Letters:
        from pipeline.ends.files.replay import FileLetters

        return FileLetters(self.path, how)


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

    ONCE: ClassVar[str] = "files to files, which appear when they are complete"

    @property
    def bounded(self) -> bool:
        return not self.run.local

    def obstacle(self, sinks: Sequence[SinkEnd]) -> Obstacle | None:
        if self.run.local and all(isinstance(s, FileTo) and s.is_regular for s in sinks):
            return None
        return super().obstacle(sinks)

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

    @property
    def is_regular(self) -> bool:
        """Whether it is a file, there or not: no device, no pipe."""
        path = self.end.path
        return is_local(path) and (os.path.isfile(path) or not os.path.exists(path))

    def write(self, share: Share) -> beam.PTransform:
        from transforms.files.write import FileSink, WriteToFile
        from transforms.writing import WriteOutcomes

        if self.bounded:
            return WriteToFile(self.end.path, share)
        if self.part is not None:
            return WriteOutcomes(FileSink(self.part.path, self.part.target), share)
        return WriteOutcomes(FileSink(self.end.path), share)


@dataclass(frozen=True)
class FolderTo(SinkEnd):
    """A folder in which files appear, one after the other.

    Attributes:
        options: Which files.
    """

    end: FileEnd
    options: FolderOptions

    def checked(self) -> FolderTo:
        from transforms.files.folder_checks import check_folder

        check_folder(self.role, self.options, letters=self.role is Role.DEAD_LETTERS)
        return self

    def write(self, share: Share) -> beam.PTransform:
        from transforms.files.folder import FolderSink
        from transforms.writing import WriteOutcomes

        return WriteOutcomes(FolderSink(self.options), share)

    def complete(self) -> None:
        self.close()

    def close(self) -> None:
        from transforms.files.folder import close_folders

        close_folders()
