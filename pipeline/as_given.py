"""Values of the command line that are taken as they are.

Typer has pydantic look at every value, the default of an option that nobody gave included. Pydantic
takes longer to import than a short command does to run, and text is text without it.
"""

from __future__ import annotations

from typing import Any


class _AsGiven:
    """What typer makes of a parameter's values, but for those that are of its type already.

    Args:
        parameter: The parameter.
    """

    def __init__(self, parameter: Any) -> None:
        self._of_typer = parameter.get_runtime_param
        described = parameter.type_descriptor
        self._is_text = (
            described.annotation in (str, list[str]) and described.parameter_info.parser is None
        )

    def __call__(self) -> _AsGiven:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        if value is param.default or (self._is_text and _is_text(value, several)):
            return value
        return self._of_typer().coerce(value, param=param, ctx=ctx)


def _is_text(value: Any, several: bool) -> bool:
    return all(isinstance(each, str) for each in value) if several else isinstance(value, str)


def take_as_given(command: Any) -> None:
    """Has the parameters of a command take what is of their type already as it is.

    Args:
        command: What typer made of a function. Versions of typer that need no pydantic are left alone.
    """
    get_params = command.get_params  # `--help` is among these only

    def as_given(ctx: Any) -> list[Any]:
        parameters: list[Any] = get_params(ctx)
        for parameter in parameters:
            if not isinstance(getattr(parameter, "get_runtime_param", None), _AsGiven | None):
                parameter.get_runtime_param = _AsGiven(parameter)
        return parameters

    command.get_params = as_given
