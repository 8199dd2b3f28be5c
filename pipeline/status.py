"""The live status of `newsbeam run`: one line on a terminal, log lines elsewhere.

It shows what the steps counted in this process (`transforms.tally`): local runners work here, so
these are all the records. For a job elsewhere it is given something that asks there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.logs import is_json
from pipeline.terminal import is_terminal
from transforms.tally import TALLY, Backlog, BytesRead, Counts

logger = logging.getLogger("newsbeam")

#: The rate is that of the last seconds, this many.
RATE_WINDOW = 5.0
#: How often a terminal's line is drawn, in seconds.
REDRAW = 0.25
#: Categories and stages shown by name; a model may have hundreds.
SHOWN = 6


@dataclass(frozen=True)
class View:
    """What the status says at one moment.

    Attributes:
        counts: The counts since the start.
        elapsed: Seconds since the start.
        rate: Records per second of the last seconds, those that came out as dead letters included.
    """

    counts: Counts
    elapsed: float
    rate: float

    @property
    def total(self) -> int:
        """Records that are through: categorized or a dead letter."""
        return self.counts.categorized + self.counts.dead


class RateMeter:
    """The rate of a count over a sliding window."""

    def __init__(self, window: float = RATE_WINDOW) -> None:
        self._window = window
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, seconds: float, total: int) -> float:
        """Notes a total and returns the rate per second over the window that ends now."""
        self._samples.append((seconds, total))
        # The oldest sample kept is the last one at or before the start of the window.
        while len(self._samples) > 2 and self._samples[1][0] <= seconds - self._window:
            self._samples.popleft()
        first_seconds, first_total = self._samples[0]
        return (total - first_total) / (seconds - first_seconds) if seconds > first_seconds else 0.0


def format_elapsed(seconds: float) -> str:
    """Hours, minutes and seconds: `0:01:05`."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def format_age(seconds: float) -> str:
    """About how long, in one unit: `45 s`, `12 min`, `3 h`, `2 d`."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length):,} {unit}"
    return f"{int(seconds)} s"


def format_backlog(backlog: Backlog) -> str:
    """What waits: `lag 4,100, 12 min behind`."""
    behind = f", {format_age(backlog.behind)} behind" if backlog.behind >= 1 else ""
    return f"lag {backlog.messages:,}{behind}"


def format_bytes_read(read: BytesRead, elapsed: float) -> str:
    """How much of the files was read: `42% read, 3 min left`."""
    left = read.left(elapsed)
    more = f", {format_age(left)} left" if left is not None and read.share < 1 else ""
    return f"{int(read.share * 100)}% read{more}"


def format_cache(counts: Counts) -> str:
    """How many texts had been classified before: `31% known texts`."""
    return f"{int(100 * counts.hits / counts.looked_up)}% known texts"


def format_counts(counts: Mapping[str, int]) -> str:
    """Names and counts, the largest first: `Sports 12, World 3`."""
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    shown = [f"{name} {n:,}" for name, n in ordered[:SHOWN]]
    if rest := ordered[SHOWN:]:
        shown.append(f"{len(rest)} more {sum(n for _, n in rest):,}")
    return ", ".join(shown)


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"


def _dead_letters(counts: Counts) -> str:
    stages = f" ({format_counts(counts.dead_letters)})" if counts.dead else ""
    times = f", {_count(counts.unreadable_times, 'time')} unreadable"
    return _count(counts.dead, "dead letter") + stages + (times if counts.unreadable_times else "")


def format_line(view: View) -> str:
    """The status as a plain line."""
    parts = [f"{view.rate:,.1f} records/s", f"{view.total:,} done"]
    if view.counts.backlog is not None:
        parts.append(format_backlog(view.counts.backlog))
    if view.counts.bytes_read is not None:
        parts.append(format_bytes_read(view.counts.bytes_read, view.elapsed))
    if view.counts.looked_up:
        parts.append(format_cache(view.counts))
    if view.counts.categories:
        parts.append(format_counts(view.counts.categories))
    parts += [_dead_letters(view.counts), format_elapsed(view.elapsed)]
    return " | ".join(parts)


def format_summary(view: View, failed: bool = False) -> str:
    """What came out in the end, as a plain line; `view.rate` is not used.

    Args:
        view: The status at the end.
        failed: The pipeline ended before it was done: what it had worked out may not be written.
    """
    if failed:
        return (
            f"failed after {format_elapsed(view.elapsed)}, with {_count(view.total, 'record')} worked "
            "out; those of them that were not written yet are not in the sink"
        )
    average = view.total / view.elapsed if view.elapsed > 0 else 0.0
    line = f"{_count(view.total, 'record')} in {format_elapsed(view.elapsed)} ({average:,.1f}/s)"
    line += f": {view.counts.categorized:,} categorized"
    if view.counts.categories:
        line += f" ({format_counts(view.counts.categories)})"
    line += f", {_dead_letters(view.counts)}"
    if view.counts.looked_up:
        line += f", {format_cache(view.counts)}"
    backlog = view.counts.backlog
    if backlog and backlog.messages:
        line += f"; {format_backlog(backlog)}"
    return f"{line}; {view.counts.uncommitted}" if view.counts.uncommitted else line


def fields(view: View) -> dict[str, object]:
    """The status as fields of a log line, for a log of JSON."""
    counts, waits = view.counts, view.counts.backlog
    return {
        "rate": round(view.rate, 1),
        "done": view.total,
        "elapsed": round(view.elapsed, 1),
        "categories": counts.categories,
        "dead_letters": counts.dead_letters,
        **({"known_texts": counts.hits} if counts.looked_up else {}),
        **({"lag": waits.messages, "behind": round(waits.behind, 1)} if waits else {}),
    }


def render(view: View) -> Text:
    """The status as a line for a terminal; what doesn't fit is cut at the right."""
    gap = "  "
    line = Text("newsbeam", style="bold cyan", no_wrap=True, overflow="ellipsis", end="")
    line.append(gap + format_elapsed(view.elapsed), style="not bold default")
    line.append(f"{gap}{view.rate:,.1f}/s", style="bold default")
    line.append(f"{gap}{view.total:,} done", style="not bold default")
    if (backlog := view.counts.backlog) is not None:
        style = "yellow" if backlog.messages else "default"
        line.append(gap + format_backlog(backlog), style=f"not bold {style}")
    if (read := view.counts.bytes_read) is not None:
        line.append(gap + format_bytes_read(read, view.elapsed), style="not bold default")
    if view.counts.looked_up:
        line.append(gap + format_cache(view.counts), style="not bold default")
    style = "red" if view.counts.dead else "default"
    line.append(gap + _dead_letters(view.counts), style=f"not bold {style}")
    if view.counts.categories:
        line.append(gap + format_counts(view.counts.categories), style="not bold green")
    return line


class Counted(Protocol):
    """What has counts: a process, or a job elsewhere."""

    def snapshot(self) -> Counts:
        """The counts now."""


class Status:
    """Shows the tally of this process while its `with` block runs, from a thread of its own.

    On a terminal a line that keeps changing, otherwise a line to the logger `newsbeam` now and
    then; a summary at the end either way.

    Args:
        tally: What to show.
        interval: Seconds between two log lines.
        clock: Gives seconds that never go back.
        console: Where a terminal's line goes; stderr by default, stdout may carry records. Whether
            there is a terminal is read from it.
        window: The rate is that of so many seconds.
    """

    def __init__(
        self,
        tally: Counted = TALLY,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        console: Console | None = None,
        window: float = RATE_WINDOW,
    ) -> None:
        self._tally = tally
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._meter = RateMeter(window)
        self._started = 0.0
        self._live: Live | None = None
        # Where the log is JSON, a line that is drawn would be in between.
        self._draws = is_terminal(self._console) and not is_json()
        self._period = REDRAW if self._draws else interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="newsbeam-status", daemon=True)

    def view(self) -> View:
        """The status now."""
        counts = self._tally.snapshot()
        seconds = self._clock()
        rate = self._meter.add(seconds, counts.categorized + counts.dead)
        return View(counts, seconds - self._started, rate)

    def show(self) -> None:
        """Draws or logs the status now."""
        view = self.view()
        if self._live is not None:
            self._live.update(render(view), refresh=True)
        else:
            logger.info("%s", format_line(view), extra=fields(view))

    def _loop(self) -> None:
        while not self._stop.wait(self._period):
            self.show()

    def __enter__(self) -> Self:
        self._started = self._clock()
        view = self.view()
        if self._draws:
            self._live = Live(
                render(view), console=self._console, auto_refresh=False, transient=True
            )
            self._live.start(refresh=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        view = self.view()
        summary = format_summary(view, failed=exc_type is not None)
        if self._live is not None:
            self._live.stop()
            self._console.print(summary, highlight=False)
        else:
            logger.info("%s", summary, extra=fields(view))
