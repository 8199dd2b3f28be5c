"""The options of `newsbeam run`, out of flags that nobody runs yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from pipeline.flags import with_flags
from pipeline.options import RUN_SETTINGS, RunOptions


def parse_run(arguments: Sequence[str]) -> tuple[RunOptions, list[str]]:
    """Our options, and those that are Beam's.

    Raises:
        ConfigurationError: An option is none of its choices.
        Exception: What typer raises for a wrong command line.
    """
    found: list[tuple[RunOptions, list[str]]] = []

    @with_flags(*RUN_SETTINGS)
    def take(context: typer.Context, **given: Any) -> int:
        found.append((RunOptions(**given), list(context.args)))
        return 0

    app = typer.Typer(add_completion=False)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(take)
    typer.main.get_command(app).main(
        list(arguments), prog_name="newsbeam run", standalone_mode=False
    )
    return found[0]
