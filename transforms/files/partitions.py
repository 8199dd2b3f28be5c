"""Which folder of a sink an outcome belongs to: `category=Sports/hour=2026-11-27T10`, as Hive does."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Callable
from typing import NamedTuple

from transforms.records import DeadLetter, Outcome

#: The first part of the names of files with items, and with dead letters.
ITEMS, LETTERS = "news", "dead-letters"
#: What Hive, Spark, DuckDB and pyarrow read as null.
NULL = "__HIVE_DEFAULT_PARTITION__"
#: The longest name of a folder that file systems take, in bytes, with room for what stands before it.
_LONGEST = 200
#: What Hive escapes, since file systems, URIs or patterns have a use for it.
_ESCAPED = {*"\"#%'*/:=?\\{}[]^<>|", "\x7f", *map(chr, range(32))}
_HALF_ESCAPE = re.compile("%.?$")


class Group(NamedTuple):
    """Outcomes that share their files.

    Attributes:
        kind: `news` or `dead-letters`: each has columns of its own.
        folder: The folder within the sink's; empty for its top.
    """

    kind: str
    folder: str

    @property
    def named_by(self) -> tuple[str, ...]:
        """What its folder is named by."""
        return tuple(name.partition("=")[0] for name in self.folder.split("/") if name)


def _category(outcome: Outcome) -> str | None:
    return None if isinstance(outcome, DeadLetter) else outcome.category


def _stage(outcome: Outcome) -> str | None:
    return outcome.stage if isinstance(outcome, DeadLetter) else None


def _time(outcome: Outcome) -> datetime.datetime:
    """When an item was published; when a dead letter failed, since its own time may be unreadable."""
    time = outcome.time if isinstance(outcome, DeadLetter) else outcome.event_time
    return time.astimezone(datetime.UTC)


def _date(outcome: Outcome) -> str:
    return _time(outcome).date().isoformat()


def _hour(outcome: Outcome) -> str:
    return f"{_date(outcome)}T{_time(outcome).hour:02}"


_VALUES: dict[str, Callable[[Outcome], str | None]] = {
    "category": _category,
    "date": _date,
    "day": _date,
    "hour": _hour,
    "stage": _stage,
}
#: What folders can be named by.
NAMES = tuple(_VALUES)
#: Those that an item, or a dead letter, has nothing for.
NOT_OF_ITEMS, NOT_OF_LETTERS = "stage", "category"


def group_of(outcome: Outcome, partition_by: tuple[str, ...]) -> Group:
    """The group of an outcome.

    Args:
        outcome: The outcome.
        partition_by: What folders are named by, from the outermost.
    """
    kind = LETTERS if isinstance(outcome, DeadLetter) else ITEMS
    folders = (f"{name}={escape(_VALUES[name](outcome))}" for name in partition_by)
    return Group(kind, "/".join(folders))


def escape(value: str | None) -> str:
    """A value as the name of a folder says it: `Sci/Tech` is `Sci%2FTech`."""
    if not value:
        return NULL
    text = "".join(f"%{ord(c):02X}" if c in _ESCAPED else c for c in value)
    if len(text.encode()) > _LONGEST:
        digest = hashlib.sha256(value.encode()).hexdigest()[:16]
        cut = text.encode()[: _LONGEST - 17].decode(errors="ignore")
        text = f"{_HALF_ESCAPE.sub('', cut)}-{digest}"
    return text
