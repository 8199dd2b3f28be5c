"""From the lines of a file, or of stdin, to messages: a record a line, a CSV row, a JSON item."""

from __future__ import annotations

import itertools
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from transforms.csv_rows import BadRow, cut_rows, detect_delimiter, fields_of
from transforms.json_items import items_of
from transforms.records import FilePosition, Message

log = logging.getLogger("newsbeam")

FORMATS: tuple[str, ...] = ("json", "text", "csv")

_BOM = b"\xef\xbb\xbf"
#: A name that is longer than this, or ends as a sentence does, is none.
_LONGEST_NAME = 60
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?")


def messages_of(
    lines: Iterable[bytes],
    file: str,
    format: str,
    columns: Sequence[str] | None = None,
    *,
    delimiter: str | None = None,
    items: str | None = None,
) -> Iterator[Message]:
    """Cuts the lines of a file into messages, each with its own bytes.

    Args:
        lines: The lines, with their ends.
        file: The name of the file, for positions.
        format: `text` has a record a line; `csv` rows may span lines; `json` has a record a line, or
            is a document: an array, or a record over many lines.
        columns: The column names of CSV; None takes them from the first row.
        delimiter: What stands between the fields of CSV; None goes by the first row.
        items: Where the list of items stands in a JSON document; see `items_of`.

    Yields:
        The messages. Blank lines are none.

    Raises:
        PipelineFailure: A JSON document that has its list elsewhere; the message says where.
    """
    lines = _without_bom(lines)
    if format == "csv":
        yield from _csv(lines, file, tuple(columns) if columns else None, delimiter)
        return
    lines = _without_old_mac(lines)
    numbered: Iterable[tuple[int, bytes]] = enumerate(lines, 1)
    if format == "json":
        numbered = items_of(lines, file, items)
    last = 0
    for number, line in numbered:
        if line.strip():
            # Several items of one line count on, so that no two have one place.
            last = max(number, last + 1)
            yield Message(line.rstrip(b"\r\n"), source=FilePosition(file, last))


def _without_bom(lines: Iterable[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        yield line if number else line.removeprefix(_BOM)


def _csv(
    lines: Iterator[bytes], file: str, columns: tuple[str, ...] | None, delimiter: str | None
) -> Iterator[Message]:
    blank = 0
    first = b""
    for first in lines:
        if first.strip():
            break
        blank += 1
    lines = itertools.chain([first], lines)
    if _is_old_mac(first):
        lines = (part for line in lines for part in line.splitlines(keepends=True))
        lines = itertools.chain([first := next(lines)], lines)
    if delimiter is None:
        text = first.decode(errors="replace")
        delimiter = detect_delimiter(text, len(columns) if columns else None)
    names = columns
    for start, row in cut_rows(lines, delimiter):
        if not row.strip():
            continue
        if names is None:
            names = column_names(row, file, delimiter)
            if names:
                continue
        source = FilePosition(file, start + blank)
        yield Message(row.rstrip(b"\r\n"), source=source, columns=names, delimiter=delimiter)


def _without_old_mac(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Parts what is one line to Python alone, and has the line ends of old Macs."""
    first = next(lines, b"")
    if b"\r" in first and not first.endswith(b"\n"):
        yield from first.splitlines(keepends=True)
    elif first:
        yield first
    yield from lines


def _is_old_mac(line: bytes) -> bool:
    """Whether lines end in a carriage return alone: to Python that is all one line."""
    head, found, _ = line.rstrip(b"\r\n").partition(b"\r")
    return bool(found) and head.count(b'"') % 2 == 0


def column_names(header: bytes, file: str, delimiter: str) -> tuple[str, ...]:
    """The names in a header row, each once; none where it is no CSV: its rows can't be news, then.

    Says so where the row seems to be data, or a name stands there twice.
    """
    try:
        found = [name.strip() for name in fields_of(header.decode(errors="replace"), delimiter)]
    except BadRow as e:
        log.warning("%s: its first row has no column names: %s", file, e)
        return ()
    if looks_like_data(found):
        log.warning(
            "%s: its first row seems to be data, and is taken for column names: give ?columns=, as in "
            "%s?columns=class,title,description",
            file,
            file,
        )
    times: Counter[str] = Counter()
    names: list[str] = []
    for name in found:
        times[name] += 1
        while times[name] > 1 and (other := f"{name}_{times[name]}") in {*names, *found}:
            times[name] += 1
        names.append(other if times[name] > 1 else name)
    if twice := [name for name in times if times[name] > 1 and name]:
        log.warning(
            "%s: the column %r is there more than once: the others are called %s",
            file,
            twice[0],
            ", ".join(n for n, f in zip(names, found, strict=True) if n != f),
        )
    return tuple(names)


def looks_like_data(header: Sequence[str]) -> bool:
    """Whether a header row is none: numbers, sentences."""
    return any(
        _NUMBER.fullmatch(name) or len(name) > _LONGEST_NAME or name.endswith((".", "!", "?"))
        for name in header
    )
