"""Options: said once, in classes of settings, and flags of the command line by that."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, get_type_hints

import pytest

from models.settings import fields_of
from pipeline.commands.run import run
from pipeline.options import RUN_SETTINGS, RunOptions
from transforms.errors import ConfigurationError

FIELDS = {field.name: field for cls in RUN_SETTINGS for field in fields_of(cls)}
#: Parameters of the command that concern how it runs, not what.
NOT_OPTIONS = {"context", "log_level", "log_format"}


def test_each_flag_is_an_option_and_each_option_a_flag() -> None:
    assert set(inspect.signature(run).parameters) - NOT_OPTIONS == FIELDS.keys()


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_their_defaults_are_the_same(name: str) -> None:
    """Those of the command line are handed on as the classes of settings have them."""
    default = inspect.signature(run).parameters[name].default
    if name == "source":
        assert default is inspect.Parameter.empty
    elif isinstance(FIELDS[name].default, tuple):
        assert default == (",".join(FIELDS[name].default) or None)
    else:
        assert default == FIELDS[name].default


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_each_flag_says_what_it_does_and_has_a_variable(name: str) -> None:
    [option] = get_type_hints(run, include_extras=True)[name].__metadata__
    assert len(option.help) > 20
    assert option.default.partition("/")[0] == f"--{name}"
    assert option.envvar == f"NEWSBEAM_{name.upper()}"
    assert option.rich_help_panel


def test_no_two_classes_have_an_option_of_one_name() -> None:
    names = [field.name for cls in RUN_SETTINGS for field in fields_of(cls)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("cls", RUN_SETTINGS, ids=lambda cls: cls.__name__)
def test_a_class_of_settings_lists_its_options_in_its_docstring(cls: type) -> None:
    for field in fields_of(cls):
        assert f"    {field.name}: {field.option.help}" in (cls.__doc__ or "")


def test_options_do_not_change() -> None:
    options = RunOptions("a", "b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.ends.sink = "c"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"threshold": 2.0}, "threshold 2.0"),
        ({"format": "xml"}, "'xml'"),
        ({"columns": ("a", "a")}, "'a' twice"),
    ],
)
def test_what_cannot_be_is_said_by_its_name(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        RunOptions("a", "b", **given)


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="'speed'"):
        RunOptions("a", "b", speed=3)
