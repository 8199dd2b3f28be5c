"""Connects ends: what is between them, their delivery, loops, defaults and routes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import apache_beam as beam

from pipeline.ends import kinds
from pipeline.ends.end import (
    End,
    Ends,
    Role,
    Run,
    SinkEnd,
    SourceEnd,
    also_the_sink,
    also_the_source,
)
from pipeline.ends.settings import AT_LEAST_ONCE, EXACTLY_ONCE
from pipeline.ends.std import StdEnd
from pipeline.options import RunOptions
from pipeline.routes import routes_of
from transforms.errors import ConfigurationError
from transforms.records import Outcome
from transforms.writing import LETTERS, Share


def connect(
    options: RunOptions,
    *,
    runner: str = "FnApiRunner",
    local: bool = True,
    checkpoint: float | None = None,
    processes: int = 1,
    ask: bool = False,
) -> Ends:
    """Resolves the ends that the options name.

    Args:
        options: The options.
        runner: The name of the runner.
        local: Whether it works in this process.
        checkpoint: Seconds between its checkpoints, where they are known.
        processes: How many processes a host has; 0 is one for each core.
        ask: Ask servers whether two of them are one place; otherwise their names tell.

    Raises:
        ConfigurationError: An end can't be what it is used as.
    """
    asked = options.ends
    source = kinds.parse(asked.source)
    named = [(share, role, kinds.parse(uri)) for share, role, uri in routes_of(asked)]
    beside = named[-1][2].beside() or StdEnd("stderr")
    letters = kinds.parse(asked.dead_letters) if asked.dead_letters else beside
    news = source.news(options.news)
    run = Run(options, runner, local, news, source.FINITE, checkpoint, processes)
    all_ends: Sequence[End] = [source, *(end for _, _, end in named), letters]
    if ask:
        all_ends = kinds.recognized(all_ends, options, run.checks.skip_checks)
    roles = [*(role for _, role, _ in named), Role.DEAD_LETTERS]
    written = [end.sink(role, run) for role, end in zip(roles, all_ends[1:], strict=True)]
    from_ = all_ends[0].source(run)
    check_loops(from_, written)
    delivery, why = _delivery(asked.delivery, from_, written)
    once = delivery == EXACTLY_ONCE
    written = [sink.delivering(once) for sink in written]
    shares = [share for share, _, _ in named]
    return Ends(
        source=from_.delivering(once),
        sinks=tuple(zip(shares, written[:-1], strict=True)),
        dead_letters=written[-1],
        delivery=delivery,
        why=why,
    )


def _delivery(wanted: str | None, source: SourceEnd, written: Sequence[SinkEnd]) -> tuple[str, str]:
    """Which delivery holds, and why."""
    if wanted not in {None, EXACTLY_ONCE, AT_LEAST_ONCE}:
        raise ConfigurationError(
            f"--delivery {wanted!r} is unknown: give {EXACTLY_ONCE} or {AT_LEAST_ONCE}"
        )
    if wanted == AT_LEAST_ONCE:
        return wanted, "as asked"
    obstacle = source.obstacle(written)
    if wanted == EXACTLY_ONCE:
        if obstacle is not None:
            raise ConfigurationError(f"--delivery exactly_once {obstacle.fix}")
        return wanted, "as asked"
    if obstacle is not None:
        return AT_LEAST_ONCE, obstacle.why
    return EXACTLY_ONCE, source.ONCE


def check_loops(source: SourceEnd, written: Sequence[SinkEnd]) -> None:
    """Refuses ends that would feed on their own output, or mix two streams in one place.

    Raises:
        ConfigurationError: They would.
    """
    for sink in written:
        if source.reads(sink.end):
            raise also_the_source(sink)
    for one, other in itertools.combinations(written, 2):
        if one.end.is_same_place(other.end):
            raise also_the_sink(other, one)


class WriteResults(beam.PTransform):
    """Writes categorized items to their sinks and dead letters to theirs.

    Args:
        ends: Where they go.
    """

    def __init__(self, ends: Ends) -> None:
        super().__init__()
        self._ends = ends

    def expand(self, outcomes: beam.PCollection[Outcome]) -> None:
        ends = self._ends
        shares: list[tuple[Share, SinkEnd]] = [*ends.sinks, (LETTERS, ends.dead_letters)]
        if (write := ends.source.write(shares)) is not None:
            _ = outcomes | "Write in transactions" >> write
            return
        # One step after the other: what a sink does not take is a dead letter in the same bundle.
        for share, sink in shares:
            outcomes = outcomes | f"Write {_named(share)}" >> sink.write(share)


def _named(share: Share) -> str:
    """What a share is called among the steps."""
    if share.letters:
        return "dead letters"
    return "categorized" if share.categories is None else ", ".join(sorted(share.categories))
