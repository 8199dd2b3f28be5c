"""Whether somebody watches: width and redrawing are for terminals, colour where it is asked for."""

from __future__ import annotations

from rich.console import Console

#: Nothing is cut or wrapped in a file or a pipe.
UNLIMITED = 100_000
#: Width of a table that goes into a file or a pipe, in characters.
PIPED_WIDTH = 160


def is_terminal(console: Console) -> bool:
    """Whether a console is a terminal that can be redrawn.

    Rich takes everything for one where FORCE_COLOR is set, as it is on many build servers: that is
    about colour.
    """
    return console.is_terminal and console.file.isatty() and not console.is_dumb_terminal


def output() -> Console:
    """A console for stdout: as wide as the terminal, or without limit elsewhere."""
    console = Console(highlight=False)
    return console if is_terminal(console) else Console(highlight=False, width=UNLIMITED)


def table_width() -> int:
    """The width of a table on stdout, whose rows are cut to fit, in terminal cells."""
    console = Console()
    return console.width if is_terminal(console) else PIPED_WIDTH
