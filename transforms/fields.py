"""Finds the fields of news items by name, whatever their case, and by path in nested ones."""

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


class Fields:
    """The fields of an item, and their names in whatever case; made where one isn't there exactly.

    Args:
        all: The fields.
    """

    def __init__(self, all: dict[str, Any]) -> None:
        self.all = all
        self._by_fold: dict[str, list[str]] | None = None

    def name_of(self, wanted: str, folded: str | None = None) -> str | None:
        """The name that a field has here; None where there is none, or several may be meant.

        Args:
            wanted: The name that is looked for.
            folded: It without upper and lower case, where that is known.
        """
        if wanted in self.all:
            return wanted
        if self._by_fold is None:
            self._by_fold = {}
            for name in self.all:
                # Byte order marks and spaces around names are no part of them, either.
                self._by_fold.setdefault(name.strip().casefold(), []).append(name)
        found = self._by_fold.get(wanted.casefold() if folded is None else folded, ())
        return found[0] if len(found) == 1 else None


class FieldFinder:
    """Finds text, id and time of items.

    A name is found exactly as it is, or else in other upper and lower case, where only one field of
    the item has it so. A name with dots that no field has is a path, each step of which is found so:
    `payload.title` is the field `title` of the object `payload`, and `items.0.title` that of the
    first element of the array `items`. Empty and blank strings are absent, as null is.

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
        self._paths = {name: tuple(name.split(".")) for name in self.names if "." in name}
        self._folded = {name: name.casefold() for name in self.names}

    def texts(self, fields: Fields) -> list[tuple[str, Any]] | None:
        """The names and values of the fields that make the text; None where none is there at all."""
        found = [self._first(fields, names) for names in self._text]
        if texts := [(name, value) for name, value in found if value is not None]:
            return texts
        return [] if any(self.has(fields, name) for names in self._text for name in names) else None

    def id(self, fields: Fields) -> tuple[str, Any]:
        """The name of the id's field and its value; None where there is none."""
        return self._first(fields, self._id)

    def time(self, fields: Fields) -> tuple[str, Any]:
        """The name of the time's field and its value; None where the item says nothing of it."""
        return self._first(fields, self._time)

    def has(self, fields: Fields, name: str) -> bool:
        """Whether an item has a field, be it null."""
        if fields.name_of(name) is not None:
            return True
        path = self._paths.get(name)
        return path is not None and _follow(fields.all, path) is not _ABSENT

    def _first(self, fields: Fields, names: Names) -> tuple[str, Any]:
        """The first of some fields that is there and not blank."""
        all = fields.all
        for wanted in names:
            # Exactly so, as a rule: this is asked four times a record, and more where it isn't.
            name = wanted if wanted in all else fields.name_of(wanted, self._folded[wanted])
            if name is not None:
                value = all[name]
            elif wanted in self._paths:
                name, value = wanted, _follow(fields.all, self._paths[wanted])
                if value is _ABSENT:
                    continue
            else:
                continue
            if value is not None and not (isinstance(value, str) and not value.strip()):
                return name, value
        return names[0], None

    def wanted(self) -> str:
        """The fields of the text, for people."""
        return ", ".join(" or ".join(names) for names in self._text)


#: Nothing, where null is something.
_ABSENT = object()


def _follow(value: Any, path: tuple[str, ...]) -> Any:
    """What stands at the end of a path through objects and arrays; `_ABSENT` where it leads nowhere.

    Args:
        value: Where it begins.
        path: Names of fields, in whatever case, and indexes of array elements, from 0.
    """
    for step in path:
        if isinstance(value, dict):
            name = Fields(value).name_of(step)
            if name is None:
                return _ABSENT
            value = value[name]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return _ABSENT
    return value
