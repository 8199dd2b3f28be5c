"""Watches the first records of a run: what is set up wrongly shows in all of them."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Sequence

log = logging.getLogger("newsbeam")

#: So many say that it is no accident.
FIRST = 1000
_SHOWN = 8
#: What differs from record to record in a reason: values and numbers.
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9]+")


class FirstRecords:
    """What became of the first records at each step, and which fields they had. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By step: how many were dead letters, and why; None once it is decided.
        self._dead: dict[str, tuple[int, str, str] | None] = {}
        self._items = 0
        self._missing: set[str] | None = None
        self._there: dict[str, None] = {}
        self._hopeless: str | None = None

    @property
    def hopeless(self) -> str | None:
        """The reason for which all records are dead letters; None where they are not."""
        return self._hopeless

    def result(self, stage: str, error: str | None) -> None:
        """Notes what a step made of a record: None is a result, anything else why not."""
        if self._dead.get(stage, ()) is None:
            return
        with self._lock:
            count, reason, example = self._dead.get(stage) or (0, "", "")
            found = _VALUES.sub("…", error or "")
            if error is None or (count and found != reason):
                self._dead[stage] = None
                return
            self._dead[stage] = (count + 1, found, example or error)
            if count + 1 == FIRST:
                self._give_up(stage)

    def item(
        self, wanted: Iterable[str], fields: Iterable[str], has: Callable[[str], bool]
    ) -> None:
        """Notes the fields of an item.

        Args:
            wanted: The names that were asked for.
            fields: The names that it has.
            has: Whether it has what one of the former names.
        """
        if self._items >= FIRST or self._missing == set():
            return
        with self._lock:
            before = set(wanted) if self._missing is None else self._missing
            self._missing = {name for name in before if not has(name)}
            self._there.update(dict.fromkeys(list(fields)[:_SHOWN]))
            self._items += 1
            if self._items == FIRST:
                self._tell_missing()

    def end(self) -> None:
        """Tells what there is to tell of a run that had fewer."""
        with self._lock:
            if 0 < self._items < FIRST:
                self._tell_missing()
            if self._hopeless is None:
                for stage, dead in self._dead.items():
                    if dead is not None:
                        self._give_up(stage)
                        return

    def _give_up(self, stage: str) -> None:
        dead = self._dead[stage]
        assert dead is not None
        count, _, example = dead
        self._dead[stage] = None
        self._hopeless = example
        # Of a single one the dead letter itself says enough.
        if count > 1:
            log.warning(
                "all of the first %s records are dead letters of %s, for one reason: %s",
                f"{count:,}",
                stage,
                example,
            )

    def _tell_missing(self) -> None:
        if self._missing:
            log.warning(
                "no item%s has a field %s: they have %s",
                f" of the first {FIRST:,}" if self._items >= FIRST else "",
                _listed(sorted(self._missing)),
                _listed(list(self._there)[:_SHOWN]) or "none",
            )
        self._missing = set()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
