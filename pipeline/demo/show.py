"""What the demo shows: a screen that keeps changing on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pipeline.demo.ledger import Totals
from pipeline.printing import fit, headline, preview, printable, reason
from pipeline.status import format_counts, format_elapsed
from pipeline.terminal import is_terminal
from transforms.records import CategorizedItem, DeadLetter

#: Rows of the two lower panels: the default model has four categories.
PANEL_ROWS = 5
#: Rows of news: as many as fit, within these.
FEWEST_ROWS, MOST_ROWS = 3, 20
#: How much of a dead letter's payload is shown beside the reason, in cells.
PREVIEW_WIDTH = 18
_COLORS = ("cyan", "green", "yellow", "magenta", "blue", "bright_red", "bright_cyan", "white")
_EIGHTHS = " ▏▎▍▌▋▊▉"
#: Columns of a title that are worth more than what stands beside it.
_LEAST_TITLE = 20


def bar(count: int, largest: int, width: int) -> str:
    """A bar of block characters, `width` cells for the largest count."""
    eighths = round(8 * width * count / largest) if largest else 0
    # What is there at all is seen.
    eighths = max(eighths, 1) if count else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def milliseconds(seconds: float | None) -> str:
    """A latency for people."""
    return "-" if seconds is None else f"{seconds * 1000:,.0f} ms"


def ok(totals: Totals) -> bool:
    """Whether every message came out, and once."""
    return totals.waiting == 0 and totals.doubled == 0


def _title(item: CategorizedItem, width: int) -> str:
    """The title in so many columns; of a long text also how much of it was read."""
    read = f"  ({item.tokens} tokens of a long text)"
    room = width - len(read)
    if not item.truncated or room < _LEAST_TITLE:
        return fit(headline(item), width)
    return fit(headline(item), room).rstrip() + read


def summary(totals: Totals) -> Table:
    """The books at the end, as a table."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim", no_wrap=True)
    table.add_row("produced", f"{totals.produced:,}")
    table.add_row("categorized", f"{totals.categorized:,}", format_counts(totals.categories))
    table.add_row("dead letters", f"{totals.dead:,}", format_counts(totals.stages))
    for name, n in (("lost", totals.waiting), ("doubled", totals.doubled)):
        table.add_row(name, Text(f"{n:,}", style="bold red" if n else "bold green"))
    p50, p99 = (milliseconds(totals.latency(p)) for p in (50, 99))
    table.add_row("latency", p50, f"p50 from produce to output; p99 {p99}")
    return table


class Show:
    """Shows categorized items and dead letters as they arrive.

    Args:
        console: Where; whether there is a terminal is read from it.
        title: The first words of the screen.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._news: deque[CategorizedItem] = deque(maxlen=MOST_ROWS)
        self._dead: deque[DeadLetter] = deque(maxlen=PANEL_ROWS)
        self._colors: dict[str, str] = {}
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if is_terminal(self._console):
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def categorized(self, item: CategorizedItem) -> None:
        """Shows an item."""
        self._news.append(item)
        if self._live is None:
            title = _title(item, self._console.width - 18).rstrip()
            self._line(f"{fit(item.category, 10)} {item.score:.2f}  {title}")

    def dead_letter(self, letter: DeadLetter) -> None:
        """Shows a dead letter."""
        self._dead.append(letter)
        if self._live is None:
            what = f"dead letter at {letter.stage}: {reason(letter)}"
            self._line(fit(f"{what} <- {preview(letter.message.value)}", self._console.width))

    def say(self, text: str) -> None:
        """Shows a line that stays."""
        self._line(text)

    def _line(self, text: str) -> None:
        self._console.print(Text(text.rstrip()), soft_wrap=True)

    def update(self, totals: Totals, elapsed: float, doing: str) -> None:
        """Draws the screen again; does nothing where there is no terminal."""
        if self._live is not None:
            self._live.update(self.screen(totals, elapsed, doing), refresh=True)

    def screen(self, totals: Totals, elapsed: float, doing: str) -> RenderableType:
        """The screen, to fit the console."""
        width = self._console.width
        rows = self._console.height - PANEL_ROWS - 8
        rows = max(FEWEST_ROWS, min(MOST_ROWS, rows))
        left = max(34, width * 2 // 5)
        lower = Table.grid()
        lower.add_column(width=left)
        lower.add_column(width=width - left)
        lower.add_row(
            self._panel("categories", self._bars(totals, left - 4), PANEL_ROWS),
            self._panel("dead letters", self._letters(width - left - 4), PANEL_ROWS),
        )
        return Group(
            self._header(totals, elapsed, doing),
            self._panel("categorized news", self._items(rows, width - 4), rows),
            lower,
            self._footer(totals),
        )

    @staticmethod
    def _panel(title: str, content: RenderableType, rows: int) -> Panel:
        return Panel(content, title=title, title_align="left", border_style="dim", height=rows + 2)

    def _header(self, totals: Totals, elapsed: float, doing: str) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(self._title, style="bold cyan")
        line.append(f"  {format_elapsed(elapsed)}  {doing}")
        if totals.latencies:
            p50, p99 = (milliseconds(totals.latency(p)) for p in (50, 99))
            line.append(f"  p50 {p50}  p99 {p99}", style="dim")
        return line

    def _footer(self, totals: Totals) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"produced {totals.produced:,}", style="bold")
        line.append(f"   categorized {totals.categorized:,}", style="green")
        line.append(f"   dead letters {totals.dead:,}", style="red" if totals.dead else "dim")
        line.append(f"   in between {totals.waiting:,}", style="dim")
        if totals.doubled:
            line.append(f"   doubled {totals.doubled:,}", style="bold red")
        return line

    def _color(self, category: str) -> str:
        return self._colors.setdefault(category, _COLORS[len(self._colors) % len(_COLORS)])

    def _items(self, rows: int, width: int) -> Text:
        text = Text(no_wrap=True)
        for item in list(self._news)[-rows:]:
            color = self._color(item.category)
            text.append(f"{item.processed_time.astimezone():%H:%M:%S}  ", style="dim")
            text.append(fit(item.category, 10), style=f"bold {color}")
            text.append(f"  {item.score:.2f}  ", style="dim")
            text.append(_title(item, width - 28) + "\n")
        return text

    def _bars(self, totals: Totals, width: int) -> Text:
        text = Text(no_wrap=True)
        shown = sorted(totals.categories.items())[:PANEL_ROWS]
        largest = max(totals.categories.values(), default=0)
        for category, count in shown:
            color = self._color(category)
            text.append(fit(category, 10) + " ", style=color)
            text.append(fit(bar(count, largest, width - 18), width - 18), style=color)
            text.append(f" {count:>6,}\n")
        return text

    def _letters(self, width: int) -> Text:
        # Where there is little room, the reason says more than the beginning of the payload.
        for_value = PREVIEW_WIDTH if width >= 3 * PREVIEW_WIDTH else 0
        text = Text(no_wrap=True)
        for letter in self._dead:
            why = printable(letter.error) or letter.error_type
            text.append(fit(why, width - for_value), style="red")
            value = preview(letter.message.value)
            text.append(fit(f"  {value}", for_value) + "\n", style="dim")
        return text
