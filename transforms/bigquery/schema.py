"""Schemas of tables, made from the record classes.

| type of a field | column |
|---|---|
| `str`, `int`, `float`, `bool`, `bytes` | STRING, INT64, FLOAT64, BOOL, BYTES |
| `datetime` | TIMESTAMP |
| `tuple[str, ...]` | REPEATED STRING |
| scores | REPEATED RECORD of `label` and `score` |
| headers | REPEATED RECORD of `name` and `value` (BYTES) |
| anything else: the item's fields, its place in the source | JSON |

What may be None is NULLABLE, all else REQUIRED.
"""

from __future__ import annotations

import datetime
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Union

from google.cloud.bigquery import SchemaField

from transforms.records import CategorizedItem, DeadLetter, Headers, Message

NULLABLE, REQUIRED, REPEATED = "NULLABLE", "REQUIRED", "REPEATED"
_SCALARS: dict[Any, str] = {
    str: "STRING",
    int: "INT64",
    float: "FLOAT64",
    bool: "BOOL",
    bytes: "BYTES",
    datetime.datetime: "TIMESTAMP",
}
#: Names of types that mean the same: BigQuery answers with the older ones.
_SAME = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "STRUCT": "RECORD"}


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: Its name.
        type: Its type, as SQL calls it; RECORD where it has columns of its own.
        mode: `NULLABLE`, `REQUIRED` or `REPEATED`.
        columns: Those of a RECORD.
    """

    name: str
    type: str
    mode: str
    columns: tuple[Column, ...] = ()

    def field(self) -> SchemaField:
        """It, as the client has it."""
        inner = [column.field() for column in self.columns]
        return SchemaField(self.name, self.type, mode=self.mode, fields=inner)

    @property
    def kind(self) -> str:
        """What may be in it, for messages."""
        return f"REPEATED {self.type}" if self.mode == REPEATED else self.type

    def __str__(self) -> str:
        return f"{self.name} {self.kind}"


def columns_of(record: type, of_message: Sequence[str]) -> tuple[Column, ...]:
    """The columns that hold records of a class.

    Args:
        record: The class.
        of_message: Fields of its message that have columns, too, in its place.
    """
    own, message = typing.get_type_hints(record), typing.get_type_hints(Message)
    return (
        *(_column(name, message[name]) for name in of_message),
        *(_column(name, hint) for name, hint in own.items() if name != "message"),
    )


def _column(name: str, hint: Any) -> Column:
    mode = REQUIRED
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is Union:
        kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
        if len(kinds) < len(typing.get_args(hint)):
            mode = NULLABLE
        hint = kinds[0] if len(kinds) == 1 else Any
    if hint in _SCALARS:
        return Column(name, _SCALARS[hint], mode)
    if hint == tuple[str, ...]:
        return Column(name, "STRING", REPEATED)
    if hint == dict[str, float]:
        pair = (Column("label", "STRING", REQUIRED), Column("score", "FLOAT64", REQUIRED))
        return Column(name, "RECORD", REPEATED, pair)
    if hint == Headers:
        pair = (Column("name", "STRING", REQUIRED), Column("value", "BYTES", NULLABLE))
        return Column(name, "RECORD", REPEATED, pair)
    return Column(name, "JSON", mode)


#: What a table of categorized items has.
ITEM_COLUMNS = columns_of(CategorizedItem, ("key", "headers"))
#: What a table of dead letters has: all that is needed to send the message again.
LETTER_COLUMNS = columns_of(
    DeadLetter, ("value", "key", "headers", "timestamp", "source", "columns", "delimiter")
)


def differences(
    columns: Sequence[Column], found: Sequence[SchemaField], within: str = ""
) -> Iterator[str]:
    """Why rows of these columns don't fit a table.

    A column that the table has beside them may be NULLABLE or REPEATED; one that we always fill may be
    NULLABLE there, and JSON may be STRING.

    Args:
        columns: Those that are written.
        found: Those that the table has.
        within: The record that they are in, with a dot.
    """
    there = {field.name.lower(): field for field in found}
    for column in columns:
        field = there.pop(column.name.lower(), None)
        if field is None:
            yield f"it has no column {within}{column}"
            continue
        type = _SAME.get(field.field_type.upper(), field.field_type.upper())
        mode = (field.mode or NULLABLE).upper()
        fits = type == column.type or (column.type, type) == ("JSON", "STRING")
        if not fits or (mode == REPEATED) != (column.mode == REPEATED):
            is_ = Column(column.name, type, mode).kind
            yield f"{within}{column.name} is {is_}, not {column.kind}"
        elif mode == REQUIRED and column.mode == NULLABLE:
            yield f"{within}{column.name} is REQUIRED, and may be null here"
        else:
            yield from differences(column.columns, field.fields, f"{within}{column.name}.")
    for field in there.values():
        if (field.mode or "").upper() == REQUIRED:
            yield f"{within}{field.name} is REQUIRED, and nothing is written there"
