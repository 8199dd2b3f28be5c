"""Reads dead letters without a trace, and says which reasons they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pipeline.replay.found import Found, NoDeadLetter, found_in
from pipeline.replay.reasons import Group, Groups
from pipeline.replay.which import Sieve
from transforms.records import Message, dead_letter_to_json


class Survey:
    """What there is among some records.

    Args:
        sieve: Which dead letters are meant.
        wanted: The place of one to keep: where it stands, or where its message stood.

    Attributes:
        groups: The reasons of those that are meant.
        left_out: How many are not.
        strangers: Records that are no dead letters.
        a_stranger: What is told of the first of them.
        wanted: The one to keep, if it is there; the last of several.
        newest: The one that failed last.
    """

    def __init__(self, sieve: Sieve, wanted: str | None = None) -> None:
        self._sieve, self._place = sieve, wanted
        self.groups = Groups()
        self.left_out = self.strangers = 0
        self.a_stranger = ""
        self.wanted: Found | None = None
        self.newest: Found | None = None

    def read(self, batches: Iterable[Sequence[Message]]) -> None:
        """Reads records to their end."""
        for batch in batches:
            for record in batch:
                self._look_at(record)

    def _look_at(self, record: Message) -> None:
        try:
            found = found_in(record)
        except NoDeadLetter as e:
            self.strangers += 1
            self.a_stranger = self.a_stranger or str(e)
            return
        if self._place is not None and self._place in {found.source, str(record.source or "")}:
            self.wanted = found
        if self._sieve.left_out_by(found.letter):
            self.left_out += 1
            return
        self.groups.add(found)
        if self.newest is None or found.letter.time >= self.newest.letter.time:
            self.newest = found

    def to_json(self, shown: Found | None) -> bytes:
        """All of it as JSON.

        Args:
            shown: The dead letter to be shown in full.
        """
        return msgspec.json.encode(
            {
                "dead_letters": self.groups.total,
                "left_out": self.left_out,
                "no_dead_letters": self.strangers,
                "other_reasons": self.groups.others,
                "groups": [_group(group) for group in self.groups.ordered()],
                "shown": None if shown is None else _letter(shown),
            }
        )


def _group(group: Group) -> dict[str, Any]:
    return {
        "stage": group.reason.stage,
        "error_type": group.reason.error_type,
        "error": group.reason.error,
        "count": group.count,
        "first": group.first,
        "last": group.last,
        "newest": _letter(group.newest),
    }


def _letter(found: Found) -> dict[str, Any]:
    return {
        "place": str(found.record.source or ""),
        "source": found.source,
        "cut": found.cut,
        "letter": msgspec.Raw(dead_letter_to_json(found.letter)),
    }
