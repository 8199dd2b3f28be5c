"""stdin and stdout, as `-`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from models.settings import SettingsSet
from pipeline.ends.end import End, Peek, Role, Run, SinkEnd, SourceEnd
from pipeline.ends.files.peek import lines_of
from pipeline.ends.files.query import file_query
from pipeline.ends.letters import Delivery, Letters, Publisher, Resent, Taking
from pipeline.ends.records import Records
from transforms.errors import ConfigurationError
from transforms.files.archives import check_piped
from transforms.records import Message
from transforms.streams import check_stdin, read_chunks, read_lines

if TYPE_CHECKING:
    import apache_beam as beam

    from transforms.stdio import StdinSource
    from transforms.writing import Share


@dataclass(frozen=True)
class StdEnd(End):
    """stdin, stdout, or stderr, for dead letters."""

    uri: str = "-"

    FORM: ClassVar[str] = "- (stdin, stdout)"

    @classmethod
    def parse(cls, uri: str) -> StdEnd:
        return cls(uri, records=Records.of(uri, file_query(uri, uri[2:])))

    def source(self, run: Run) -> StdFrom:
        from transforms.stdio import StdinSource

        news = run.news
        assert news.format is not None
        return StdFrom(
            self, run, StdinSource(news.format, news.columns, news.delimiter, news.items)
        )

    def sink(self, role: Role, run: Run) -> StdTo:
        if self.records != Records():
            raise ConfigurationError(
                f"{role} {self.uri!r}: what stands after ? is for sources only"
            )
        return StdTo(self, role, run)

    def peek(self, how: Peek, options: SettingsSet) -> Generator[list[Message]]:
        if how.follow:
            raise ConfigurationError(
                f"--follow can't wait for more of {self.uri!r}: give a kafka:// URI"
            )
        return read_stdin()

    def letters(self, how: Taking, options: SettingsSet) -> Letters:
        return PipedLetters()


@dataclass(frozen=True)
class StdFrom(SourceEnd):
    """stdin.

    Attributes:
        source: Reads it.
    """

    source: StdinSource

    def read(self) -> beam.PTransform:
        from transforms.reading import ReadUnbounded

        return ReadUnbounded(self.source)


@dataclass(frozen=True)
class StdTo(SinkEnd):
    """stdout, or for dead letters stderr."""

    @property
    def stream(self) -> str:
        """Which of the two it is."""
        return "stderr" if self.role is Role.DEAD_LETTERS else "stdout"

    def write(self, share: Share) -> beam.PTransform:
        from transforms.stdio import StdoutSink
        from transforms.writing import WriteOutcomes

        return WriteOutcomes(StdoutSink(stderr=self.stream == "stderr"), share)


class PipedLetters(Letters):
    """Takes dead letters from stdin, which nothing remembers."""

    def batches(self) -> Generator[Sequence[Message]]:
        return read_stdin()

    def into(self, to: Publisher, *, transactions: bool = True) -> Delivery:
        return Delivery(False, "whoever pipes them in begins anew after a kill")

    def taken(self, seen: Sequence[Message], sent: Sequence[Resent]) -> None:
        """There is nothing to note."""


def read_stdin() -> Generator[list[Message]]:
    """Reads one JSON record a line from stdin, each as it comes.

    Raises:
        ConfigurationError: It is closed, or can't be read.
    """
    check_stdin()
    return _stdin()


def _stdin() -> Generator[list[Message]]:
    lines = itertools.chain.from_iterable(
        read_lines(check_piped(read_chunks(sys.stdin.buffer), "stdin"))
    )
    try:
        yield from lines_of("-", lines, 1)
    except OSError as e:
        if isinstance(e, BrokenPipeError):
            raise
        raise ConfigurationError(f"can't read stdin: {e.strerror}") from None
