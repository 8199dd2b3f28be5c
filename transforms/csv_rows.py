"""CSV: where rows end, and what their fields are.

A quote opens a field only at its very start; elsewhere it is a character like any other (`12"`). One
that opens a field which never closes, or goes on after closing, is a stray: the row that it stands in
ends with its line, as a bad row, and the next line is a row again.
"""

from __future__ import annotations

import csv
import io
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from transforms.errors import ConfigurationError

#: A quoted field that goes on longer than this, in bytes, has lost a quote.
MAX_ROW = 4 * 1024 * 1024
#: What may stand between fields, the likeliest first.
DELIMITERS = (",", ";", "\t", "|")

# Python's own limit is 131,072 characters a field, for all threads of a process. A row is in memory
# by the time it is parsed, so no limit saves anything.
csv.field_size_limit(sys.maxsize)

_DONE, _OPEN, _STRAY = "done", "open", "stray"


class BadRow(ValueError):
    """A row that is none; the message says why."""


def cut_rows(lines: Iterable[bytes], delimiter: str) -> Iterator[tuple[int, bytes]]:
    """Cuts lines into rows.

    Each line is looked at twice at most, about: a quote that opens a field ends the search for the
    end of one before it.

    Yields:
        The number of the row's first line, from 1, and the row with its line ends; good or bad.
    """
    mark = delimiter.encode()
    source = iter(lines)
    again: deque[bytes] = deque()
    row: list[bytes] = []
    size = opened = 0
    inside = False
    start = 1

    def next_line() -> bytes | None:
        return again.popleft() if again else next(source, None)

    while True:
        line = next_line()
        if line is None and not row:
            return
        if line is not None:
            if b'"' not in line and (not inside or size + len(line) < MAX_ROW):
                state, opens = (_OPEN if inside else _DONE), False
            else:
                state, opens, _ = _scan(line, mark, inside)
            row.append(line)
            size += len(line)
            opened = len(row) - 1 if opens else opened
            inside = state == _OPEN
        if line is None or state == _STRAY or (inside and size >= MAX_ROW):
            again.extendleft(reversed(row[opened + 1 :]))
            del row[opened + 1 :]
        elif inside:
            continue
        yield start, b"".join(row)
        start += len(row)
        row, size, opened, inside = [], 0, 0, False


def _scan(line: bytes, mark: bytes, inside: bool) -> tuple[str, bool, int]:
    """Looks through a line of a row.

    Args:
        line: The line.
        mark: The delimiter.
        inside: Whether it begins within a quoted field.

    Returns:
        What the row is at its end; whether the last quoted field began in this line; and where.
    """
    at, began = 0, -1
    end = len(line.rstrip(b"\r\n"))
    while True:
        if not inside:
            if line[at : at + 1] == b'"':
                inside, began, at = True, at, at + 1
            else:
                found = line.find(mark, at, end)
                if found < 0:
                    return _DONE, began >= 0, began
                at = found + 1
                continue
        quote = line.find(b'"', at)
        if quote < 0:
            return _OPEN, began >= 0, began
        if line[quote + 1 : quote + 2] == b'"':
            at = quote + 2
            continue
        inside, at = False, quote + 1
        if at >= end:
            return _DONE, began >= 0, began
        if line[at : at + 1] != mark:
            return _STRAY, began >= 0, began
        at += 1


def fields_of(row: str, delimiter: str) -> list[str]:
    """The fields of a row.

    Raises:
        BadRow: It is none, or more than one.
    """
    try:
        rows = list(csv.reader(io.StringIO(row, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as e:
        raise BadRow(_quote_at_fault(row, delimiter) or f"not valid CSV: {e}") from None
    if len(rows) != 1:
        raise BadRow(f"{len(rows)} rows of CSV, not one")
    return rows[0]


def _quote_at_fault(row: str, delimiter: str) -> str | None:
    """Which quote it is that makes a row a bad one."""
    inside, where = False, ""
    for number, line in enumerate(row.encode().splitlines(keepends=True), 1):
        state, opens, at = _scan(line, delimiter.encode(), inside)
        if opens:
            column = len(line[:at].decode()) + 1
            where = f"the quote at column {column} of the line"
            if number > 1:
                where = f"the quote at column {column} of line {number} of the row"
        if state == _STRAY:
            return f"not valid CSV: {where} closes before the end of its field"
        inside = state == _OPEN
    return f"not valid CSV: {where} never closes" if inside else None


def width(line: str, delimiter: str) -> int:
    """How many fields a line has, so divided; a quoted field may go on in the next."""
    try:
        return len(next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter)))
    except (csv.Error, StopIteration):
        return 0


def detect_delimiter(line: str, fields: int | None = None) -> str:
    """What divides the fields of a first line.

    Args:
        line: The line.
        fields: How many it should have, where that is known.
    """
    widths = {delimiter: width(line, delimiter) for delimiter in DELIMITERS}
    if fields is not None:
        return next((d for d, found in widths.items() if found == fields), ",")
    return max(widths, key=lambda d: widths[d])


def delimiter_named(name: str) -> str:
    r"""A delimiter as people write it: itself, or `tab`, `\t`, `comma`, `semicolon`, `pipe`.

    Raises:
        ValueError: It is none that CSV can have.
    """
    names = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}
    found = names.get(name.lower(), name)
    if len(found) != 1 or not found.isascii() or found in '"\r\n\0' or found.isalnum():
        raise ValueError(f"delimiter={name!r} is none: give one character, or tab")
    return found


def column_list(columns: Sequence[str], option: str) -> tuple[str, ...]:
    """The names of columns, without spaces around them.

    Raises:
        ConfigurationError: One is empty, or there twice: its values would be lost.
    """
    names = tuple(name.strip() for name in columns)
    if not names or not all(names):
        raise ConfigurationError(
            f"{option}={','.join(columns)!r} has an empty name: name each column"
        )
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"{option}={','.join(columns)!r} names {name!r} twice")
    return names
