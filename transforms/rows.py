"""From the lines of a file, or of stdin, to messages: a record a line, or a CSV row."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence

from transforms.records import FilePosition, Message

#: A CSV row that is longer than this, in bytes, has lost a quote: it ends here, as a bad row.
MAX_ROW = 4 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


def messages_of(
    lines: Iterable[bytes], file: str, format: str, columns: Sequence[str] | None = None
) -> Iterator[Message]:
    """Cuts the lines of a file into messages, each with its own bytes.

    Args:
        lines: The lines, with their ends.
        file: The name of the file, for positions.
        format: `json` and `text` have a record a line; `csv` rows may span lines.
        columns: The column names of CSV; None takes them from the first row.

    Yields:
        The messages. Blank lines are none.
    """
    names = tuple(columns) if columns else None
    row, start = b"", 0
    for number, line in enumerate(lines, 1):
        if number == 1:
            line = line.removeprefix(_BOM)
        if format != "csv":
            if line.strip():
                yield Message(line.rstrip(b"\r\n"), source=FilePosition(file, number))
            continue
        if not row:
            start = number
        row += line
        # Quotes come in pairs, doubled ones too: an odd number means that the row goes on.
        if row.count(b'"') % 2 and len(row) < MAX_ROW:
            continue
        if row.strip():
            if names is not None:
                yield _row(row, file, start, names)
            else:
                names = _column_names(row)
                if not names:
                    yield _row(row, file, start, names)
        row = b""
    if row.strip():
        yield _row(row, file, start, names)


def _column_names(header: bytes) -> tuple[str, ...]:
    """The names in a header row; none where it is no CSV: its rows can't be news, then."""
    try:
        return tuple(next(csv.reader([header.decode(errors="replace")])))
    except (csv.Error, StopIteration):
        return ()


def _row(row: bytes, file: str, line: int, columns: tuple[str, ...] | None) -> Message:
    return Message(row.rstrip(b"\r\n"), source=FilePosition(file, line), columns=columns)
