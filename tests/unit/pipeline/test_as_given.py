"""Values of the command line that are taken as they are, and those that typer looks at."""

from __future__ import annotations

import enum
from typing import Annotated, Any

import pytest
import typer

from pipeline.as_given import take_as_given


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


def parsed(*args: str) -> dict[str, Any]:
    """What a command gets."""
    found: dict[str, Any] = {}

    def command(
        texts: Annotated[list[str] | None, typer.Argument()] = None,
        name: Annotated[str | None, typer.Option("--name")] = None,
        each: Annotated[list[str] | None, typer.Option("--each")] = None,
        count: Annotated[int | None, typer.Option("--count", min=1)] = None,
        share: Annotated[float, typer.Option("--share", max=1)] = 0.5,
        colour: Annotated[Colour, typer.Option("--colour")] = Colour.RED,
        loud: Annotated[bool, typer.Option("--loud")] = False,
    ) -> None:
        found.update(locals())
        del found["found"]

    app = typer.Typer(add_completion=False)
    app.command()(command)
    made = typer.main.get_command(app)
    take_as_given(made)
    made.main(list(args), standalone_mode=False)
    return found


DEFAULTS = parsed()


def test_defaults() -> None:
    assert DEFAULTS["name"] is DEFAULTS["count"] is None
    assert (DEFAULTS["share"], DEFAULTS["colour"], DEFAULTS["loud"]) == (0.5, Colour.RED, False)
    assert not DEFAULTS["texts"]
    assert not DEFAULTS["each"]


@pytest.mark.parametrize(
    ("args", "given"),
    [
        (["--name", "a b"], {"name": "a b"}),
        (["one", "two"], {"texts": ["one", "two"]}),
        (["--each", "1", "--each", "2"], {"each": ["1", "2"]}),
        (["--count", "3", "--share", "1"], {"count": 3, "share": 1.0}),
        (["--colour", "blue", "--loud"], {"colour": Colour.BLUE, "loud": True}),
    ],
)
def test_what_is_given(args: list[str], given: dict[str, Any]) -> None:
    found = parsed(*args)
    changed = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in found.items()
        if value != DEFAULTS[name]
    }
    assert changed == given


@pytest.mark.parametrize("args", ["--count 0", "--count many", "--share 2", "--colour green"])
def test_what_cannot_be(args: str) -> None:
    with pytest.raises(typer.BadParameter):
        parsed(*args.split())
