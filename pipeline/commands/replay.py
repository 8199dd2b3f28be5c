"""`newsbeam replay`: dead letters back to a topic, after what made them fail is mended."""

from __future__ import annotations

import contextlib
import enum
import sys
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from models.settings import SettingsSet
from pipeline.ends.end import End
from pipeline.ends.kinds import KIND_OPTIONS, parse, recognized
from pipeline.ends.letters import Letters, Publisher, Taking
from pipeline.ends.settings import AT_LEAST_ONCE, EXACTLY_ONCE
from pipeline.flags import taken, with_flags
from pipeline.replay.replay import Counts, Replay
from pipeline.replay.show import table
from pipeline.replay.which import Sieve, WhichLetters
from pipeline.replay.words import of_columns, summary
from pipeline.terminal import is_terminal, table_width
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure

_FLAGS = {"kafka_config", "create_topics", "ordering_keys"}


class Delivered(enum.StrEnum):
    """What holds when something fails."""

    EXACTLY_ONCE = EXACTLY_ONCE
    AT_LEAST_ONCE = AT_LEAST_ONCE


#: How often a terminal's line is drawn, in seconds.
_REDRAW = 0.25


@with_flags(WhichLetters)
@with_flags(*KIND_OPTIONS, only=_FLAGS)
def replay(
    from_: Annotated[
        str,
        typer.Argument(
            metavar="FROM",
            help="Where dead letters are: kafka://host:port\\[,host:port]/topic\\[,topic]\\[?group=], "
            "pubsub://PROJECT/SUBSCRIPTION, files, a folder or a pattern (JSON lines, packed too, "
            "Parquet), or - for stdin.",
        ),
    ],
    to: Annotated[
        str,
        typer.Argument(
            metavar="TO",
            help="The topic that they go to: kafka://host:port\\[,host:port]/topic or "
            "pubsub://PROJECT/TOPIC.",
        ),
    ],
    max_attempts: Annotated[
        int | None,
        typer.Option(
            "--max_attempts",
            metavar="N",
            min=1,
            help="Leave out what has failed N times or more. Default: no limit.",
            envvar="NEWSBEAM_REPLAY_MAX_ATTEMPTS",
            rich_help_panel="Which dead letters",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            metavar="N",
            min=1,
            help="End after N were replayed; the next replay goes on there. Default: no limit.",
            envvar="NEWSBEAM_REPLAY_LIMIT",
            rich_help_panel="Which dead letters",
        ),
    ] = None,
    from_start: Annotated[
        bool,
        typer.Option(
            "--from_start",
            help="Begin at the first dead letter that is there, also those replayed or left out before.",
            envvar="NEWSBEAM_REPLAY_FROM_START",
            rich_help_panel="Which dead letters",
        ),
    ] = False,
    delivery: Annotated[
        Delivered | None,
        typer.Option(
            "--delivery",
            metavar="MODE",
            help="What holds when something fails. exactly_once needs FROM and TO in one Kafka "
            "cluster. at_least_once: nothing is lost, but after a kill some may come twice. Default: "
            "exactly once where it can be.",
            envvar="NEWSBEAM_REPLAY_DELIVERY",
            rich_help_panel="Delivery",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry_run",
            help="Only show what would be replayed, and why it failed: nothing is written, and nothing "
            "counts as replayed.",
            envvar="NEWSBEAM_REPLAY_DRY_RUN",
            rich_help_panel="Output",
        ),
    ] = False,
    **given: Any,
) -> int:
    """Send dead letters back to a topic, as the messages that they were.

    Bytes, key, headers and time are as they were; the header `newsbeam.attempt` says how often a message
    has failed. Ends with what is there at the start. Messages that were cut when they became dead
    letters are left out. A topic's retention counts from a message's own time: what is older than that
    may be deleted before it is read.

    **It goes on where the last replay ended**, also after a kill: a consumer group
    (`newsbeam-replay-TOPIC`, or `?group=`) remembers it for topics, a file in
    `$XDG_STATE_HOME/newsbeam` for files. If FROM and TO are of one Kafka cluster, that is exactly once:
    both are one transaction. Elsewhere it is remembered once the messages are durable. What is replayed
    from a subscription is acknowledged then; what a killed replay held comes again within a minute.

    **What is left out by a filter is passed**: to replay it later, give --from_start, or for topics
    another `?group=`. In a subscription it stays.

    Exit code 0: done, 1: it failed, 2: something was given wrongly, 3: another replay with the same
    group has taken over.
    """
    options = SettingsSet(KIND_OPTIONS, {n: v for n, v in given.items() if n in _FLAGS})
    sieve = Sieve(taken(WhichLetters, given), max_attempts)
    source, target = _ends(from_, to, options)
    try:
        with contextlib.ExitStack() as opened:
            letters = source.letters(Taking(from_start, dry_run), options)
            opened.callback(letters.close)
            if dry_run:
                return _show(Replay(letters, None, sieve, limit), letters, to)
            publisher = target.publisher(options)
            opened.callback(publisher.close)
            holds = letters.into(publisher, transactions=delivery is not Delivered.AT_LEAST_ONCE)
            if delivery is Delivered.EXACTLY_ONCE and not holds.once:
                raise ConfigurationError(
                    "--delivery exactly_once needs FROM and TO in one Kafka cluster, with the same "
                    "client settings: give topics of one, or drop it"
                )
            print(f"newsbeam: {from_} -> {to}, {holds}", file=sys.stderr)
            return _replay(letters, publisher, sieve, limit, (from_, to))
    except PipelineFailure as e:
        print(f"newsbeam: {e}", file=sys.stderr)
        return e.exit_code


def _ends(from_: str, to: str, options: SettingsSet) -> list[End]:
    """The ends, which are two places.

    Raises:
        ConfigurationError: They are one.
    """
    ends = recognized([parse(from_), parse(to)], options)
    if ends[0].is_same_place(ends[1]):
        raise ConfigurationError(
            f"TO {to!r} is also FROM: what is replayed would be a dead letter again; name the topic "
            "that newsbeam reads news from"
        )
    return ends


def _replay(
    letters: Letters, to: Publisher, sieve: Sieve, limit: int | None, uris: tuple[str, str]
) -> int:
    from pipeline.runners.local import drained_by_signals
    from transforms.reading import draining, undrain

    undrain()
    with drained_by_signals(), _progress(letters) as watch:
        work = Replay(letters, to, sieve, limit, draining, watch)
        try:
            work.run()
        except PipelineFailure:
            if work.counts.replayed:
                _say(summary(work.counts, uris[1]) + " before it failed: run it again to go on")
            raise
    counts = work.counts
    if nothing := _nothing(counts, letters, uris[0]):
        _say(nothing)
        return 0
    _say(summary(counts, uris[1], left=letters.left))
    if note := of_columns(counts):
        _say(note)
    return _exit_code(counts)


def _show(work: Replay, letters: Letters, to: str) -> int:
    """Shows what would be replayed."""
    counts = work.run()
    if counts.replayed:
        width = table_width()
        console = Console(width=width)
        for row in table(counts.groups, width, samples=False):
            console.print(row, soft_wrap=True)
        sys.stdout.flush()
    _say(
        _nothing(counts, letters, "FROM")
        or f"{summary(counts, to, dry_run=True)}; nothing is written"
    )
    return _exit_code(counts)


def _say(line: str) -> None:
    print(f"newsbeam: {line}", file=sys.stderr)


def _nothing(counts: Counts, letters: Letters, from_: str) -> str | None:
    """What to tell where there was nothing to do; None where there was."""
    if counts.seen or counts.interrupted:
        return None
    return f"nothing to replay: {from_} has no dead letters that {letters.memory} has not seen"


def _exit_code(counts: Counts) -> int:
    """2, where FROM holds something else altogether."""
    return 2 if counts.strangers and not counts.letters else 0


@contextlib.contextmanager
def _progress(letters: Letters) -> Iterator[Callable[[Counts], None]]:
    """A line on a terminal that says how far it is; elsewhere nothing."""
    console = Console(stderr=True)
    if not is_terminal(console):
        yield lambda counts: None
        return
    drawn = 0.0
    with Live(Text(), console=console, auto_refresh=False, transient=True) as live:

        def draw(counts: Counts) -> None:
            nonlocal drawn
            if time.monotonic() - drawn < _REDRAW:
                return
            drawn = time.monotonic()
            live.update(_line(counts, letters.waiting), refresh=True)

        yield draw


def _line(counts: Counts, waiting: int | None) -> Text:
    line = Text("newsbeam", "bold cyan", no_wrap=True, overflow="ellipsis", end="")
    of = "" if waiting is None else f" of {waiting:,}"
    line.append(f"  {counts.seen:,}{of} looked at", "not bold default")
    line.append(f"  {counts.replayed:,} replayed", "not bold green")
    if left_out := counts.left_out.total():
        line.append(f"  {left_out:,} left out", "not bold default")
    return line
