"""News and dead letters as rows for people: cut to fit, and safe to print on a terminal."""

from __future__ import annotations

import datetime
import unicodedata

from rich.cells import cell_len, set_cell_size

from transforms.records import CategorizedItem, DeadLetter

#: Which field of an item says best what it is about.
HEADLINE_FIELDS = ("title", "headline", "text", "description", "body")
#: Text beyond this many characters is not looked at; no terminal is wider.
MAX_CHARACTERS = 1000


def printable(text: str) -> str:
    """Text on one line without what a terminal would obey: escapes, bells, changes of direction."""
    return " ".join("".join(map(_harmless, text[:MAX_CHARACTERS])).split())


def _harmless(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Cc", "Zl", "Zp"):
        return " "
    if category == "Cf":  # invisible: joiners, marks of direction
        return ""
    return "\N{REPLACEMENT CHARACTER}" if category in ("Cs", "Co", "Cn") else character


def fit(text: str, width: int) -> str:
    """Text of exactly `width` terminal cells: cut with an ellipsis, or filled with spaces."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…"


def preview(value: bytes | None) -> str:
    """The beginning of a record's value, whatever it is."""
    if value is None:
        return "(null)"
    if not value:
        return "(empty)"
    return printable(value[:MAX_CHARACTERS].decode(errors="replace")) or "(blank)"


def headline(item: CategorizedItem) -> str:
    """What an item is about: its title, or else the best text among its fields."""
    texts = {name: value for name, value in item.fields.items() if isinstance(value, str)}
    for name in HEADLINE_FIELDS:
        if found := printable(texts.get(name, "")):
            return found
    return printable(max(texts.values(), key=len, default=""))


def moment(time: datetime.datetime) -> str:
    """A time in UTC, to the second: `2026-02-01 17:30:05`."""
    return f"{time.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}"


def reason(letter: DeadLetter) -> str:
    """Why a record is a dead letter: type and message of the error."""
    return printable(f"{letter.error_type}: {letter.error}".strip(": "))
