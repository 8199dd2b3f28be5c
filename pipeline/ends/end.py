"""What the ends of the graph have in common, whatever their kind.

An `End` is what a URI names. As a source it becomes a `SourceEnd`, as a sink or for dead letters a
`SinkEnd`; all of them together are the `Ends` of a run. Heavy libraries are imported where they are
used: `newsbeam --help` knows all kinds, and needs none of them.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol, Self

from models.settings import SettingsSet
from pipeline.ends.letters import Letters, Publisher, Taking
from pipeline.ends.records import Records
from pipeline.ends.settings import EndSettings
from pipeline.runners.checking import CheckSettings
from transforms.errors import ConfigurationError
from transforms.news_settings import NewsSettings
from transforms.records import Message

if TYPE_CHECKING:
    import apache_beam as beam

    from transforms.tally import Backlog
    from transforms.writing import Share


class Role(enum.StrEnum):
    """What an end is used as: the flag that names it."""

    SOURCE = "--source"
    SINK = "--sink"
    ROUTE = "--route"
    DEAD_LETTERS = "--dead_letters"


@dataclass(frozen=True)
class Run:
    """What ends may know of the run that they are part of.

    Attributes:
        options: Its options.
        runner: The name of the runner.
        local: Whether it works in the process of the command line.
        news: What the messages of the source are.
        finite: Whether its source comes to an end by itself, as files do.
        checkpoint: Seconds between checkpoints, where the runner makes any at a known pace.
        processes: How many processes a host has that run the model; 0 is one for each core.
    """

    options: SettingsSet
    runner: str
    local: bool
    news: NewsSettings
    finite: bool = False
    checkpoint: float | None = None
    processes: int = 1

    @property
    def ends(self) -> EndSettings:
        """The options that all kinds share."""
        return self.options.of(EndSettings)

    @property
    def checks(self) -> CheckSettings:
        """What is checked before the start."""
        return self.options.of(CheckSettings)


class Obstacle(NamedTuple):
    """What stands in the way of exactly once.

    Attributes:
        why: What it is, for the log.
        fix: What to do about it, for whoever has asked for it.
    """

    why: str
    fix: str


class Candidate(Protocol):
    """An instance that waits for its turn to read."""

    def leads(self) -> bool:
        """Whether it is its turn.

        Raises:
            PipelineFailure: That can't be known.
        """

    def waits(self) -> bool:
        """Whether it is known to be another one's turn."""

    def close(self) -> None:
        """Lets others have their turn."""


class Peek(NamedTuple):
    """How an end is read by somebody who only looks.

    Attributes:
        latest: Begin with what comes from now on, not with the first record.
        follow: Wait for more for ever; otherwise end at what is there now.
    """

    latest: bool = False
    follow: bool = False


@dataclass(frozen=True)
class End(abc.ABC):
    """What a URI names.

    Attributes:
        uri: As given.
        records: What it says of its records.
    """

    uri: str
    records: Records = dataclasses.field(default=Records(), kw_only=True)

    #: The schemes of its URIs; none where they have none.
    SCHEMES: ClassVar[tuple[str, ...]] = ()
    #: How they look, for messages.
    FORM: ClassVar[str]
    #: Whether what it has as a source comes to an end by itself.
    FINITE: ClassVar[bool] = False
    #: The options that are this kind's own.
    OPTIONS: ClassVar[type | None] = None

    @classmethod
    @abc.abstractmethod
    def parse(cls, uri: str) -> End:
        """Reads a URI of this kind; touches no network and opens no file.

        Raises:
            ConfigurationError: It is none; says how it should be.
        """

    @classmethod
    def recognized(cls, ends: Sequence[Self], options: SettingsSet) -> Sequence[Self]:
        """The same ends, with what tells whether two of them are one place; may ask servers."""
        return ends

    def source(self, run: Run) -> SourceEnd:
        """The end as a source.

        Raises:
            ConfigurationError: It can't be one, or not with these options.
        """
        raise ConfigurationError(f"--source {self.uri!r} can only be written to: name a source")

    def sink(self, role: Role, run: Run) -> SinkEnd:
        """The end as a sink, or for dead letters.

        Raises:
            ConfigurationError: It can't be one, or not with these options.
        """
        raise ConfigurationError(f"{role} {self.uri!r} can only be read: name a sink")

    def news(self, news: NewsSettings) -> NewsSettings:
        """What its messages are, as a source: as its URI says, then as the options say."""
        return self.records.of_lines(news)

    def is_same_place(self, other: End) -> bool:
        """Whether what is written to one can be read from the other."""
        return False

    def beside(self) -> End | None:
        """Where dead letters go if nobody says; None is stderr."""
        return None

    def peek(self, how: Peek, options: SettingsSet) -> Generator[list[Message]]:
        """Reads what is there without a trace, for `newsbeam consume`.

        Raises:
            ConfigurationError: It can't be read.
        """
        raise ConfigurationError(f"{self.uri!r} can't be read here: name what can")

    def letters(self, how: Taking, options: SettingsSet) -> Letters:
        """Its dead letters, to be replayed.

        Raises:
            ConfigurationError: They can't be read, or nothing can remember how far they were.
        """
        raise ConfigurationError(f"FROM {self.uri!r} can't be replayed: name a topic or a file")

    def publisher(self, options: SettingsSet) -> Publisher:
        """What replayed messages are written with.

        Raises:
            ConfigurationError: It takes none.
        """
        raise ConfigurationError(
            f"TO {self.uri!r} is no topic: replayed messages go to one, which newsbeam reads as news"
        )


@dataclass(frozen=True)
class SourceEnd(abc.ABC):
    """An end that is read.

    Attributes:
        end: What its URI names.
        run: The run that it is part of; `run.news` says what its messages are.
    """

    end: End
    run: Run

    #: Why it is read exactly once where nothing stands in the way, for the log.
    ONCE: ClassVar[str] = ""

    @property
    def bounded(self) -> bool:
        """Whether it is read as a bounded collection."""
        return False

    def checked(self) -> SourceEnd:
        """The same, with what only the world could tell.

        Raises:
            ConfigurationError: It can't be read.
        """
        return self

    def plain_secrets(self) -> list[str]:
        """The names of settings whose secrets are pickled with its steps, as they stand."""
        return []

    def reads(self, end: End) -> bool:
        """Whether it reads what is written to an end, as far as is known by now."""
        return self.end.is_same_place(end)

    @abc.abstractmethod
    def read(self) -> beam.PTransform:
        """The transform that reads its messages."""

    def obstacle(self, sinks: Sequence[SinkEnd]) -> Obstacle | None:
        """What keeps outputs to these sinks from being written exactly once; None if nothing does."""
        return Obstacle(
            "source, sink and dead letters are not one Kafka cluster; what comes twice has the same id",
            "needs source, sink and dead letters in one Kafka cluster: give topics of one cluster, or "
            "--delivery at_least_once",
        )

    def delivering(self, exactly_once: bool) -> SourceEnd:
        """The same, for sinks that commit what was read, or for those that don't."""
        return self

    def write(self, shares: Sequence[tuple[Share, SinkEnd]]) -> beam.PTransform | None:
        """The transform that writes all outcomes in one step, where exactly once wants that.

        None: each sink writes its own.
        """
        return None

    def backlog(self) -> Backlog | None:
        """What waits in it, asked of its servers by who runs none of its readers.

        None where they can't tell.
        """
        return None

    def check_standby(self) -> None:
        """Checks that one instance may stand by while another one reads.

        Raises:
            ConfigurationError: All may read, or who follows would not go on where the other was.
        """
        raise ConfigurationError(
            f"--standby is for topics of Kafka, which one instance reads at a time; {Role.SOURCE} "
            f"{self.end.uri!r} is no such topic: drop it"
        )

    def candidate(self) -> Candidate | None:
        """This instance among those of which one reads at a time; None where all may."""
        return None

    def begin(self) -> None:  # noqa: B027 - few need it
        """Called when the run begins."""

    def complete(self) -> None:  # noqa: B027 - few need it
        """Called when the run has come to its end without a failure."""

    def close(self) -> None:  # noqa: B027 - few need it
        """Closes what this process has opened."""


@dataclass(frozen=True)
class SinkEnd(abc.ABC):
    """An end that is written to.

    Attributes:
        end: What its URI names.
        role: What it is for.
        run: The run that it is part of.
    """

    end: End
    role: Role
    run: Run

    def checked(self) -> SinkEnd:
        """The same, with what only the world could tell.

        Raises:
            ConfigurationError: It can't be written to.
        """
        return self

    def plain_secrets(self) -> list[str]:
        """The names of settings whose secrets are pickled with its steps, as they stand."""
        return []

    def delivering(self, exactly_once: bool) -> SinkEnd:
        """The same, where the source writes to it exactly once, or where it doesn't."""
        return self

    @abc.abstractmethod
    def write(self, share: Share) -> beam.PTransform:
        """The transform that writes a share of outcomes and gives the rest; see `transforms.writing`."""

    def complete(self) -> None:  # noqa: B027 - few need it
        """Called when the run has come to its end without a failure: puts in place what was written."""

    def close(self) -> None:  # noqa: B027 - few need it
        """Closes what this process has opened."""


@dataclass(frozen=True)
class Ends:
    """The ends of the graph, resolved.

    Attributes:
        source: Where messages come from.
        sinks: Where categorized items go, each with its share.
        dead_letters: Where dead letters go.
        delivery: `exactly_once` or `at_least_once`.
        why: Why that delivery, for the log.
    """

    source: SourceEnd
    sinks: tuple[tuple[Share, SinkEnd], ...]
    dead_letters: SinkEnd
    delivery: str
    why: str

    @property
    def written(self) -> tuple[SinkEnd, ...]:
        """All that is written to."""
        return (*(sink for _, sink in self.sinks), self.dead_letters)

    def complete(self) -> None:
        """Puts in place what was written, then what was read: the run came to its end."""
        for sink in self.written:
            sink.complete()
        self.source.complete()

    def close(self) -> None:
        """Closes what this process has opened."""
        self.source.close()
        for sink in self.written:
            sink.close()

    def replacing(self, source: SourceEnd, written: Sequence[SinkEnd]) -> Ends:
        """The same, with other objects for the same ends."""
        shares = [share for share, _ in self.sinks]
        sinks = tuple(zip(shares, written[:-1], strict=True))
        return dataclasses.replace(self, source=source, sinks=sinks, dead_letters=written[-1])


def also_the_source(sink: SinkEnd) -> ConfigurationError:
    """What to tell of a sink that would feed on its own output."""
    return ConfigurationError(
        f"{sink.role} {sink.end.uri!r} is also the source: name another place"
    )


def also_the_sink(one: SinkEnd, other: SinkEnd) -> ConfigurationError:
    """What to tell of two streams in one place."""
    what = "the sink" if other.role is Role.SINK else f"that of {other.role}"
    return ConfigurationError(f"{one.role} {one.end.uri!r} is also {what}: name another place")
