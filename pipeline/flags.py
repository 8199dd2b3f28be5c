"""Flags of the command line, made from classes of settings."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from models.settings import Field, fields_of, without_none

T = TypeVar("T")


def with_flags(
    *classes: type, only: Collection[str] | None = None
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Gives a command a flag for each option of classes of settings.

    They stand where its `**given` does, which takes their values.

    Args:
        classes: The classes of settings.
        only: The names of the options; None are all.
    """
    fields = [
        field for cls in classes for field in fields_of(cls) if only is None or field.name in only
    ]

    def wrap(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def called(**arguments: Any) -> int:
            for field in fields:
                arguments[field.name] = _value(field, arguments[field.name])
            return command(**arguments)

        signature = inspect.signature(command)
        hints = get_type_hints(command, include_extras=True)
        own = [
            p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for p in signature.parameters.values()
            if p.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        # `--help` lists them in this order.
        first = [p for p in own if p.default is inspect.Parameter.empty or _is_argument(p)]
        parameters = [*first, *map(_parameter, fields), *(p for p in own if p not in first)]
        called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": int}
        return called

    return wrap


def taken(cls: type[T], given: Mapping[str, Any]) -> T:
    """The settings of a class, out of what was given by flags."""
    names = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: value for name, value in given.items() if name in names})


def _is_argument(parameter: inspect.Parameter) -> bool:
    metadata = getattr(parameter.annotation, "__metadata__", ())
    return any(isinstance(each, typer.models.ArgumentInfo) for each in metadata)


def _parameter(field: Field) -> inspect.Parameter:
    """The parameter that typer makes a flag of."""
    option, default = field.option, field.default
    kind: Any = without_none(field.type)
    if option.choices is not None:
        names = {choice.upper(): choice for choice in option.choices}
        kind = enum.StrEnum(field.name, names)  # type: ignore[misc, no-redef]
        default = None if default is None else kind(default)
    elif option.repeated:
        kind, default = list[str], None
    elif kind == tuple[str, ...]:
        kind, default = str, ",".join(default or ()) or None
    required = default is dataclasses.MISSING
    info = typer.Option(
        f"--{field.name}",
        help=option.help,
        metavar=option.metavar,
        min=option.min,
        max=option.max,
        envvar=field.variable,
        rich_help_panel=field.panel,
        show_default=not required and default is not None,
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if required else default,
        annotation=Annotated[kind | None if default is None else kind, info],
    )


def _value(field: Field, value: Any) -> Any:
    """What was given on the command line, as the class of settings takes it."""
    if isinstance(value, enum.Enum):
        return value.value
    if field.option.repeated:
        return tuple(value or ())
    if value is None and isinstance(field.default, tuple):
        return field.default
    if isinstance(value, str) and without_none(field.type) == tuple[str, ...]:
        return tuple(value.split(","))
    return value
