"""Settings: an option is said once, with its type, default and help.

    @settings(panel="News items")
    class NewsSettings:
        \"\"\"How a message becomes a news item.\"\"\"

        id_field: Annotated[str, Option("Field that holds the id.", metavar="FIELD")] = "id"

A class of settings is a frozen dataclass, whose docstring lists its options. Flags of the command line,
environment variables and tables of documentation are made from the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

T = TypeVar("T")

ENV_PREFIX = "NEWSBEAM_"
_ATTRIBUTE = "newsbeam_panel"


@dataclass(frozen=True)
class Option:
    """What is said of an option beside its type and default.

    Attributes:
        help: What it does, in Markdown.
        metavar: What stands for its value.
        choices: The values that it may have, where they are few.
        min: The lowest number.
        max: The highest number.
        panel: Where `--help` lists it; None is where its class is listed.
        repeated: Whether it may be given again for more, rather than with commas.
    """

    help: str
    metavar: str | None = None
    choices: Sequence[str] | None = None
    min: float | None = None
    max: float | None = None
    panel: str | None = None
    repeated: bool = False


@dataclass(frozen=True)
class Field:
    """An option of a class of settings.

    Attributes:
        name: Its name, as a keyword; as a flag it begins with `--`.
        type: Its type; `tuple[str, ...]` is a list, separated by commas as a flag.
        default: Its default; `dataclasses.MISSING` where it has to be given.
        option: What is said of it.
        panel: Where `--help` lists it.
    """

    name: str
    type: Any
    default: Any
    option: Option
    panel: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return ENV_PREFIX + self.name.upper()


@dataclass_transform(frozen_default=True, kw_only_default=False)
def settings(panel: str) -> Callable[[type[T]], type[T]]:
    """Makes a class one of settings: frozen, its options listed in its docstring.

    Args:
        panel: Where `--help` lists its options.
    """

    def make(cls: type[T]) -> type[T]:
        made = dataclass(frozen=True)(cls)
        setattr(made, _ATTRIBUTE, panel)
        listed = "\n".join(f"    {f.name}: {f.option.help}" for f in fields_of(made))
        made.__doc__ = f"{(cls.__doc__ or '').rstrip()}\n\nAttributes:\n{listed}\n"
        return made

    return make


def fields_of(cls: type) -> Iterator[Field]:
    """The options of a class of settings, in order."""
    hints = get_type_hints(cls, include_extras=True)
    for each in dataclasses.fields(cls):
        hint = hints[each.name]
        assert get_origin(hint) is Annotated, f"{cls.__name__}.{each.name} has no Option"
        kind, option, *_ = get_args(hint)
        panel = option.panel or getattr(cls, _ATTRIBUTE)
        yield Field(each.name, kind, each.default, option, panel)


def without_none(kind: Any) -> Any:
    """The type of what is given, where None is what isn't."""
    left = [each for each in get_args(kind) if each is not type(None)]
    return left[0] if type(None) in get_args(kind) else kind


def merged(cls: type[T], given: T | None, keywords: Mapping[str, Any]) -> T:
    """Settings, with those that were given by keyword in place of theirs.

    Raises:
        TypeError: A keyword names no option of theirs, or what was given is of another class.
    """
    settings = cls() if given is None else given
    if not isinstance(settings, cls):
        raise TypeError(
            f"{given!r} is no {cls.__name__}: give {cls.__name__}(…), or its options by name"
        )
    return dataclasses.replace(settings, **keywords) if keywords else settings  # type: ignore[type-var]


class SettingsSet:
    """Settings of several classes, given by the names of their options.

    Args:
        classes: The classes; no two have an option of one name.
        given: The options that are given.

    Raises:
        TypeError: An option is unknown, or one that has to be given is missing.
    """

    def __init__(self, classes: Sequence[type], given: Mapping[str, Any]) -> None:
        left = dict(given)
        self._settings: dict[type, Any] = {}
        for cls in classes:
            names = [f.name for f in dataclasses.fields(cls)]
            self._settings[cls] = cls(**{n: left.pop(n) for n in names if n in left})
        if left:
            raise TypeError(f"there is no option {next(iter(left))!r}")

    @property
    def classes(self) -> tuple[type, ...]:
        """The classes."""
        return tuple(self._settings)

    def of(self, cls: type[T]) -> T:
        """The settings of a class."""
        found: T = self._settings[cls]
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SettingsSet) and self._settings == other._settings

    def __hash__(self) -> int:
        return hash(tuple(self._settings.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._settings.values()))})"
