"""`newsbeam consume`: shows the categorized items and dead letters of a topic or file."""

from __future__ import annotations

import contextlib
import enum
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from models.settings import SettingsSet
from pipeline.ends.end import End, Peek
from pipeline.ends.kinds import KIND_OPTIONS, parse
from pipeline.ends.registry import registry_of
from pipeline.flags import taken, with_flags
from pipeline.outcomes import UnreadableRecord, outcome_of
from pipeline.printing import fit, headline, moment, preview, printable, reason
from pipeline.terminal import table_width
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.formats.framing import framed
from transforms.news_settings import NewsSettings
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    Message,
    Outcome,
    categorized_to_json,
    dead_letter_to_json,
)

if TYPE_CHECKING:
    from transforms.avro_items import AvroItemsReader

#: Unreadable records reported one by one; the rest are counted.
REPORTED = 10


class Format(enum.StrEnum):
    """How records are printed."""

    TABLE = "table"
    JSON = "json"


class Start(enum.StrEnum):
    """Where reading a topic begins."""

    EARLIEST = "earliest"
    LATEST = "latest"


@with_flags(*KIND_OPTIONS, NewsSettings, only={"kafka_config", "schema_registry"})
def consume(
    uri: Annotated[
        str,
        typer.Argument(
            help="What to read: kafka://host:port\\[,host:port]/topic\\[,topic], "
            "pubsub://PROJECT/SUBSCRIPTION (which keeps its messages), a file, folder or pattern of "
            "JSON lines (.gz too) or Parquet, or - for stdin. Sinks and dead letters alike. Topics take "
            "what they take in `newsbeam run` after ?; group and start change nothing here.",
        ),
    ],
    category: Annotated[
        list[str] | None,
        typer.Option(
            "--category",
            help="Show this category only, in whatever case; may be given again for more. Leaves "
            "out dead letters. Default: everything.",
            envvar="NEWSBEAM_CONSUME_CATEGORY",
            rich_help_panel="What to show",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            help="End after so many records. Default: no limit.",
            envvar="NEWSBEAM_CONSUME_LIMIT",
            rich_help_panel="What to show",
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            help="Wait for more until Ctrl-C, instead of ending at what is there now; topics only.",
            envvar="NEWSBEAM_CONSUME_FOLLOW",
            rich_help_panel="What to show",
        ),
    ] = False,
    start: Annotated[
        Start,
        typer.Option(
            "--from",
            help="Where to begin in a topic: at its first record, or (with --follow) with what "
            "comes from now on.",
            envvar="NEWSBEAM_CONSUME_FROM",
            rich_help_panel="What to show",
        ),
    ] = Start.EARLIEST,
    format: Annotated[
        Format,
        typer.Option(
            "--format",
            help="table: rows for people, cut to the width of the terminal. json: the JSON of each "
            "record on a line, untouched, for machines.",
            envvar="NEWSBEAM_CONSUME_FORMAT",
            rich_help_panel="Output",
        ),
    ] = Format.TABLE,
    **given: Any,
) -> int:
    """Show the categorized items, or the dead letters, of a topic or file.

    Reads without a consumer group, so that nobody else's reading is touched. What a Pub/Sub
    subscription gives is given back at the end; meanwhile its other readers don't get it.

    Records of another kind are named on stderr, and skipped.
    """
    end = parse(uri)
    messages = _messages(end, given, start, follow)
    avro = _avro(end, given)
    write = _write_json if format is Format.JSON else TableWriter(table_width())
    wanted = {name.casefold() for name in category or ()}
    # News may hold characters that the terminal's encoding lacks.
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        # What was only looked at is given back, where it was taken.
        with contextlib.closing(messages):
            _show(messages, avro, wanted, limit, write)
    except KeyboardInterrupt:
        if not follow:
            raise
    except PipelineFailure as e:
        print(f"newsbeam: {printable(str(e))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader went away (`newsbeam consume … | head`): what is buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _avro(end: End, given: Mapping[str, Any]) -> AvroItemsReader | None:
    registry = registry_of(end.records, taken(NewsSettings, given))
    if registry is None:
        return None
    from transforms.avro_items import AvroItemsReader

    return AvroItemsReader(registry)


def _messages(
    end: End, given: Mapping[str, Any], start: Start, follow: bool
) -> Generator[list[Message]]:
    latest = start is Start.LATEST
    if latest and not follow:
        raise ConfigurationError("--from latest shows nothing by itself: add --follow")
    options = {name: value for name, value in given.items() if name != "schema_registry"}
    return end.peek(Peek(latest, follow), SettingsSet(KIND_OPTIONS, options))


Write = Callable[[Message, Outcome], None]


def _show(
    batches: Iterator[list[Message]],
    avro: AvroItemsReader | None,
    wanted: set[str],
    limit: int | None,
    write: Write,
) -> None:
    shown = unreadable = 0
    try:
        for batch in batches:
            for message in batch:
                try:
                    outcome = outcome_of(message, avro)
                except UnreadableRecord as e:
                    unreadable += 1
                    if unreadable <= REPORTED:
                        sys.stdout.flush()
                        print(f"newsbeam: {printable(str(e))}", file=sys.stderr)
                    continue
                if wanted and not _is_of(outcome, wanted):
                    continue
                write(message, outcome)
                shown += 1
                if shown == limit:
                    return
            sys.stdout.flush()
    finally:
        sys.stdout.flush()
        if unreadable > REPORTED:
            print(
                f"newsbeam: {unreadable - REPORTED:,} more records are neither categorized items "
                "nor dead letters",
                file=sys.stderr,
            )


def _is_of(outcome: Outcome, wanted: set[str]) -> bool:
    return isinstance(outcome, CategorizedItem) and outcome.category.casefold() in wanted


def _write_json(message: Message, outcome: Outcome) -> None:
    # A dead letter's record holds the original bytes, which may be no JSON at all.
    if isinstance(outcome, DeadLetter):
        line = dead_letter_to_json(outcome) if message.headers else message.value or b""
    elif framed(message) is not None:
        line = categorized_to_json(outcome)
    else:
        line = message.value or b""
    sys.stdout.buffer.write(line + b"\n")


class TableWriter:
    """Prints rows as they come, with a heading wherever their kind changes.

    Args:
        width: Width of a row, in terminal cells.
        console: Where to; stdout by default.
    """

    def __init__(self, width: int, console: Console | None = None) -> None:
        self._width = width
        self._console = console or Console(width=width)
        self._kind: type[Any] | None = None

    def __call__(self, message: Message, outcome: Outcome) -> None:
        """Prints a record."""
        if isinstance(outcome, CategorizedItem):
            names: tuple[str, ...] = ("time", "category", "score", "news", "id")
            cells = self._categorized(outcome)
        else:
            names = ("time", "stage", "error", "value")
            cells = self._dead_letter(outcome)
        if type(outcome) is not self._kind:
            self._kind = type(outcome)
            widths = (width for _, width, _ in cells)
            self._print([(n, width, "bold") for n, width in zip(names, widths, strict=True)])
        self._print(cells)

    def _categorized(self, item: CategorizedItem) -> list[tuple[str, int, str]]:
        room = max(10, self._width - 19 - 12 - 5 - 4 * 2)
        for_id = min(24, room // 3)
        return [
            (moment(item.event_time), 19, "dim"),
            (printable(item.category), 12, "bold cyan"),
            (f"{item.score:.3f}", 5, ""),
            (headline(item), room - for_id, ""),
            (printable(item.id), for_id, "dim"),
        ]

    def _dead_letter(self, letter: DeadLetter) -> list[tuple[str, int, str]]:
        room = max(10, self._width - 19 - 18 - 3 * 2)
        for_value = room // 3
        return [
            (moment(letter.time), 19, "dim"),
            (printable(letter.stage), 18, "bold yellow"),
            (reason(letter), room - for_value, "red"),
            (preview(letter.message.value), for_value, "dim"),
        ]

    def _print(self, cells: Sequence[tuple[str, int, str]]) -> None:
        row = Text("  ").join(Text(fit(text, width), style) for text, width, style in cells)
        row.rstrip()
        self._console.print(row, soft_wrap=True)
