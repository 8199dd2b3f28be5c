"""Dead letters for people: a table of reasons, and one letter in full."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from rich.text import Text

from pipeline.printing import MAX_CHARACTERS, fit, moment, preview, printable
from pipeline.replay.found import Found
from pipeline.replay.reasons import Groups
from transforms.records import HEADER_PREFIX

#: How much of a value is shown, in characters, and in bytes where it is no text.
SHOWN_TEXT, SHOWN_BYTES = 8_000, 512
_PER_LINE = 16
#: From this width on a table says when a reason was first seen, too.
_WIDE = 120


def table(groups: Groups, width: int, *, samples: bool = True) -> Iterator[Text]:
    """The reasons, a row each, and below it the newest sample.

    Args:
        groups: The reasons.
        width: Width of a row, in terminal cells.
        samples: Whether samples are shown.
    """
    ordered = groups.ordered()
    counts = max([5, *(len(f"{group.count:,}") for group in ordered)])
    stage = min(max([5, *(len(group.reason.stage) for group in ordered)]), 18)
    heading = [("#".rjust(2), 2), ("count".rjust(counts), counts), ("stage", stage)]
    heading += [("first", 19)] * (width >= _WIDE) + [("last", 19)]
    room = width - sum(w for _, w in heading) - len(heading) * 2
    yield _row([(name, w, "bold") for name, w in [*heading, ("error", max(10, room))]])
    for number, group in enumerate(ordered, 1):
        reason = printable(f"{group.reason.error_type}: {group.reason.error}".strip(": "))
        first = [(moment(group.first), 19, "dim")] * (width >= _WIDE)
        yield _row(
            [
                (f"{number}".rjust(2), 2, "dim"),
                (f"{group.count:,}".rjust(counts), counts, "bold"),
                (printable(group.reason.stage), stage, "bold yellow"),
                *first,
                (moment(group.last), 19, "dim"),
                (reason, max(10, room), "red"),
            ]
        )
        if samples:
            yield _sample(group.newest, width)
    if groups.others:
        more = f"{groups.others:,} more".rjust(counts + 9)
        yield Text(fit(f"{more}, of reasons that came after these", width).rstrip(), "dim")


def _row(cells: list[tuple[str, int, str]]) -> Text:
    row = Text("  ").join(Text(fit(text, width), style) for text, width, style in cells)
    row.rstrip()
    return row


def _sample(found: Found, width: int) -> Text:
    place = printable(found.source or str(found.record.source or ""))
    sample = f"    {place}  {preview(found.letter.message.value)}"
    return Text(fit(sample, width).rstrip(), "dim")


def in_full(found: Found) -> Iterator[Text]:
    """One dead letter, line by line."""
    letter, message = found.letter, found.letter.message
    facts = [
        ("dead letter", str(found.record.source or "")),
        ("source", found.source),
        ("failed", moment(letter.time)),
        ("attempt", str(letter.attempt)),
        ("stage", letter.stage),
        ("error", f"{letter.error_type}: {letter.error}".strip(": ")),
        ("model", letter.model or ""),
        ("time", "" if message.timestamp is None else _time(message.timestamp)),
        ("key", "" if message.key is None else _shown(message.key)),
        ("columns", ",".join(message.columns or ())),
        *(("header", f"{name} = {_shown(value)}") for name, value in message.user_headers),
        *(
            ("note", f"{name.removeprefix(HEADER_PREFIX)} = {_shown(value)}")
            for name, value in found.record.headers
            if name.startswith(HEADER_PREFIX + "cut_")
        ),
    ]
    for name, text in facts:
        if text:
            yield Text(f"{name:<13}", "bold").append(printable(text), "not bold")
    value = message.value
    yield Text(f"{'value':<13}", "bold").append(_size(value), "not bold")
    if value:
        yield from _value(value)


def _time(milliseconds: int) -> str:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    try:
        return moment(epoch + datetime.timedelta(milliseconds=milliseconds))
    except OverflowError:
        return f"{milliseconds} ms since 1970"


def _shown(data: bytes | None) -> str:
    """Bytes as text, or in hexadecimal digits."""
    if not data:
        return "(null)" if data is None else "(empty)"
    text = data.decode(errors="replace")
    if "\N{REPLACEMENT CHARACTER}" not in text and text.isprintable():
        return text
    return f"0x{data[:MAX_CHARACTERS].hex()}"


def _size(value: bytes | None) -> str:
    if not value:
        return "(null)" if value is None else "(empty)"
    try:
        value.decode()
    except UnicodeDecodeError as e:
        return f"{len(value):,} bytes, not UTF-8 from byte {e.start:,} on"
    return f"{len(value):,} bytes"


def _value(value: bytes) -> Iterator[Text]:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        yield from _dump(value)
        return
    for line in text[:SHOWN_TEXT].splitlines():
        pieces = (line[i : i + MAX_CHARACTERS] for i in range(0, len(line), MAX_CHARACTERS))
        yield Text("".join(map(printable, pieces)))
    if len(text) > SHOWN_TEXT:
        yield _more(len(text) - SHOWN_TEXT, "characters")


def _dump(value: bytes) -> Iterator[Text]:
    """The beginning of bytes: where they stand, in hexadecimal digits, and as ASCII."""
    for start in range(0, min(len(value), SHOWN_BYTES), _PER_LINE):
        part = value[start : start + _PER_LINE]
        ascii_ = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
        yield Text(f"{start:08x}  {part.hex(' '):<{3 * _PER_LINE}} {ascii_}")
    if len(value) > SHOWN_BYTES:
        yield _more(len(value) - SHOWN_BYTES, "bytes")


def _more(n: int, what: str) -> Text:
    return Text(f"… {n:,} more {what}: --json has all of it", "dim")
