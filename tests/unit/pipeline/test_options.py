"""Options: the flags of the command line and `RunOptions` are the same, defaults included."""

from __future__ import annotations

import dataclasses
import inspect
from typing import get_type_hints

import pytest

from pipeline.commands.run import run
from pipeline.options import RunOptions

FIELDS = {f.name: f for f in dataclasses.fields(RunOptions)}
#: Parameters of the command that concern how it runs, not what.
NOT_OPTIONS = {"context", "log_level"}


def test_each_flag_is_an_option_and_each_option_a_flag() -> None:
    assert set(inspect.signature(run).parameters) - NOT_OPTIONS == FIELDS.keys()


@pytest.mark.parametrize("name", sorted(FIELDS.keys() - {"source", "sink"}))
def test_their_defaults_are_the_same(name: str) -> None:
    flag = inspect.signature(run).parameters[name].default
    if name == "text_fields":
        flag = tuple(flag.split(","))
    assert flag == FIELDS[name].default


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_each_flag_says_what_it_does_and_has_a_variable(name: str) -> None:
    [option] = get_type_hints(run, include_extras=True)[name].__metadata__
    assert len(option.help) > 20
    assert option.default.partition("/")[0] == f"--{name}"
    assert option.envvar == f"NEWSBEAM_{name.upper()}"
    assert option.rich_help_panel


def test_options_do_not_change() -> None:
    options = RunOptions("a", "b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.sink = "c"  # type: ignore[misc]
