"""Finds the fields of news items by name, whatever their case."""

from __future__ import annotations

from typing import Any

from transforms.errors import ConfigurationError

Names = tuple[str, ...]


def field_names(names: str, option: str) -> Names:
    """The names in `a|b`, without spaces around them.

    Raises:
        ConfigurationError: One of them is empty.
    """
    found = tuple(name.strip() for name in names.split("|"))
    if not all(found):
        raise ConfigurationError(
            f"{option} has an empty name in {names!r}: name a field, or drop it"
        )
    return found


class FieldFinder:
    """Finds text, id and time of items.

    A name is found exactly as it is, or else in other upper and lower case, where only one field of
    the item has it so. Empty and blank strings are absent, as null is.

    Args:
        text: The fields of the text, each with its alternatives.
        id: The field of the id, with its alternatives.
        time: The field of the time, with its alternatives.
    """

    def __init__(self, text: tuple[Names, ...], id: Names, time: Names) -> None:
        self._text = text
        self._id = id
        self._time = time
        #: Every name that is looked for.
        self.names = frozenset(name for names in (*text, id, time) for name in names)

    def texts(self, fields: dict[str, Any]) -> list[tuple[str, Any]] | None:
        """The names and values of the fields that make the text; None where none is there at all."""
        folded = _Folded(fields)
        found = [_first(fields, folded, names) for names in self._text]
        if texts := [(name, value) for name, value in found if value is not None]:
            return texts
        blank = any(folded.name_of(name) is not None for names in self._text for name in names)
        return [] if blank else None

    def id(self, fields: dict[str, Any]) -> tuple[str, Any]:
        """The name of the id's field and its value; None where there is none."""
        return _first(fields, _Folded(fields), self._id)

    def time(self, fields: dict[str, Any]) -> Any:
        """What the item says of its time; None where it says nothing."""
        return _first(fields, _Folded(fields), self._time)[1]

    def wanted(self) -> str:
        """The fields of the text, for people."""
        return ", ".join(" or ".join(names) for names in self._text)


class _Folded:
    """The fields of an item by name in whatever case; made where one isn't there exactly."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields
        self._by_fold: dict[str, list[str]] | None = None

    def name_of(self, wanted: str) -> str | None:
        if wanted in self._fields:
            return wanted
        if self._by_fold is None:
            self._by_fold = {}
            for name in self._fields:
                # Byte order marks and spaces around names are no part of them, either.
                self._by_fold.setdefault(name.strip().casefold(), []).append(name)
        found = self._by_fold.get(wanted.casefold(), ())
        return found[0] if len(found) == 1 else None


def _first(fields: dict[str, Any], folded: _Folded, names: Names) -> tuple[str, Any]:
    """The first of some fields that is there and not blank."""
    for wanted in names:
        name = folded.name_of(wanted)
        if name is None:
            continue
        value = fields[name]
        if value is not None and not (isinstance(value, str) and not value.strip()):
            return name, value
    return names[0], None
