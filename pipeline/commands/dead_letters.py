"""`newsbeam dead-letters`: what failed and why, and one of them in full."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from models.settings import SettingsSet
from pipeline.ends.end import Peek
from pipeline.ends.kinds import KIND_OPTIONS, parse
from pipeline.flags import taken, with_flags
from pipeline.printing import printable
from pipeline.replay.found import Found
from pipeline.replay.show import in_full, table
from pipeline.replay.survey import Survey
from pipeline.replay.which import Sieve, WhichLetters
from pipeline.replay.words import counted
from pipeline.terminal import table_width
from transforms.errors import ConfigurationError

_FLAGS = {"kafka_config"}


@with_flags(WhichLetters)
@with_flags(*KIND_OPTIONS, only=_FLAGS)
def dead_letters(
    uri: Annotated[
        str,
        typer.Argument(
            metavar="URI",
            help="Where dead letters are: kafka://host:port\\[,host:port]/topic\\[,topic], "
            "pubsub://PROJECT/SUBSCRIPTION, files, a folder or a pattern (JSON lines, packed too, "
            "Parquet), or - for stdin.",
        ),
    ],
    show: Annotated[
        int | None,
        typer.Option(
            "--show",
            metavar="N",
            min=1,
            help="Show the newest of group N in full. Default: the newest of all.",
            envvar="NEWSBEAM_DEAD_LETTERS_SHOW",
            rich_help_panel="What to show",
        ),
    ] = None,
    id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="PLACE",
            help="Show this one in full, by where it stands or where its message stood, as in "
            "news-0@17 or news.jsonl:17.",
            envvar="NEWSBEAM_DEAD_LETTERS_ID",
            rich_help_panel="What to show",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="All of it as one JSON object, for machines; values are base64.",
            envvar="NEWSBEAM_DEAD_LETTERS_JSON",
            rich_help_panel="Output",
        ),
    ] = False,
    **given: Any,
) -> int:
    """Show why messages became dead letters: reasons with counts, and one of them in full.

    Dead letters of the same stage, type of error and reason are one group; what differs from one to the
    next in a reason, such as numbers and ids, is left out. Below each stands its newest message.

    Reads without a trace: no consumer group, nothing is committed. `newsbeam replay` sends them back.
    """
    if show is not None and id is not None:
        raise ConfigurationError("--show and --id both name the one to be shown: give one of them")
    options = SettingsSet(KIND_OPTIONS, {n: v for n, v in given.items() if n in _FLAGS})
    survey = Survey(Sieve(taken(WhichLetters, given)), id)
    # What was looked at in a subscription is given back when this is closed.
    with closing(parse(uri).peek(Peek(), options)) as records:
        survey.read(records)
    shown = _shown(survey, uri, show, id)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    if as_json:
        sys.stdout.buffer.write(survey.to_json(shown) + b"\n")
        sys.stdout.buffer.flush()
    else:
        _print(survey, uri, shown)
    return 0


def _shown(survey: Survey, uri: str, show: int | None, place: str | None) -> Found | None:
    """The one to be shown in full.

    Raises:
        ConfigurationError: It is not there.
    """
    if place is not None:
        if survey.wanted is None:
            raise ConfigurationError(
                f"--id {place!r}: {uri!r} has no dead letter that stands there, or whose message did"
            )
        return survey.wanted
    if show is None:
        return survey.newest
    groups = survey.groups.ordered()
    if show > len(groups):
        raise ConfigurationError(f"--show {show}: there are {counted(len(groups), 'group')}")
    return groups[show - 1].newest


def _print(survey: Survey, uri: str, shown: Found | None) -> None:
    width = table_width()
    console = Console(width=width)

    def line(text: Text) -> None:
        console.print(text, soft_wrap=True)

    if total := survey.groups.total:
        reasons = len(survey.groups.ordered())
        line(Text(f"{counted(total, 'dead letter')}, {counted(reasons, 'reason')}"))
        line(Text())
        for row in table(survey.groups, width):
            line(row)
    else:
        line(Text(f"no dead letters{' of these' if survey.left_out else ''} in {uri}"))
    if shown is not None:
        line(Text())
        for row in in_full(shown):
            line(row)
    sys.stdout.flush()
    if survey.left_out:
        print(f"newsbeam: {survey.left_out:,} more are not among those asked for", file=sys.stderr)
    if survey.strangers:
        print(
            f"newsbeam: {counted(survey.strangers, 'record')} passed over, being no dead letters (the "
            f"first: {printable(survey.a_stranger)})",
            file=sys.stderr,
        )
