"""Why records are dead letters: grouped by stage, type of error, and what the error says.

What differs from record to record in an error (numbers, places, ids, quoted values) is left out, so that
one reason is one group. There are only so many groups: what comes after is counted.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.replay.found import Found
from transforms.records import DeadLetter

#: Groups that are told apart; of each one message is held, whole.
MAX_GROUPS = 100
#: A longer reason says no more.
MAX_REASON = 300
#: Names of fields, types and topics are short; values may be anything.
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_NAME = re.compile(r"[\w.|-]{1,40}")
_UUID = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE
)
_HEX = re.compile(r"\b(?:0x)?(?=[0-9a-f]*[0-9])[0-9a-f]{8,}\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![A-Za-z_])(?<!UTF-)[0-9][0-9,.]*(?<![,.])")


def normalized(error: str) -> str:
    """What an error says, without what differs from record to record."""
    text = _QUOTED.sub(_kept_if_name, error)
    text = _HEX.sub("…", _UUID.sub("…", text))
    return " ".join(_NUMBER.sub("N", text).split())[:MAX_REASON]


def _kept_if_name(found: re.Match[str]) -> str:
    inner = found[1] if found[1] is not None else found[2]
    is_name = _NAME.fullmatch(inner) and not inner.isdigit()
    return found[0] if is_name else found[0][0] + "…" + found[0][0]


class Reason(NamedTuple):
    """What the dead letters of a group have in common."""

    stage: str
    error_type: str
    error: str

    @classmethod
    def of(cls, letter: DeadLetter) -> Reason:
        """The reason of a dead letter."""
        return cls(letter.stage, letter.error_type, normalized(letter.error))


@dataclass
class Group:
    """Dead letters of one reason.

    Attributes:
        reason: The reason.
        newest: The one that failed last.
        first: When the first of them failed.
        count: How many there are.
    """

    reason: Reason
    newest: Found
    first: datetime.datetime
    count: int = 0

    @property
    def last(self) -> datetime.datetime:
        """When the last of them failed."""
        return self.newest.letter.time

    def add(self, found: Found) -> None:
        """Counts one more."""
        time = found.letter.time
        self.count += 1
        self.first = min(self.first, time)
        if time >= self.last:
            self.newest = found


@dataclass
class Groups:
    """The reasons of dead letters, and how many have each; in bounded memory.

    Attributes:
        most: How many reasons are told apart.
        others: Dead letters of reasons that came after those.
    """

    most: int = MAX_GROUPS
    others: int = 0
    _groups: dict[Reason, Group] = field(default_factory=dict)

    def add(self, found: Found) -> None:
        """Counts a dead letter."""
        reason = Reason.of(found.letter)
        group = self._groups.get(reason)
        if group is None:
            if len(self._groups) >= self.most:
                self.others += 1
                return
            group = self._groups[reason] = Group(reason, found, found.letter.time)
        group.add(found)

    def add_all(self, found: Iterable[Found]) -> None:
        """Counts dead letters."""
        for each in found:
            self.add(each)

    @property
    def total(self) -> int:
        """How many dead letters there are."""
        return sum(group.count for group in self._groups.values()) + self.others

    def ordered(self) -> list[Group]:
        """The groups, the largest first, then by name."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, group.reason))
