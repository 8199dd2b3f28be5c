"""Counts outcomes once they are durable, and how long that took since their records were produced."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from transforms.records import CategorizedItem, DeadLetter, Message, Outcome
from transforms.watching.figures import FIGURES
from transforms.watching.metrics import END_TO_END_SECONDS, WRITE_SECONDS, WRITTEN

#: What is later is no time of a record: some other unit.
_LATEST = 253_402_300_799_999


class Written:
    """What a writing step has taken and not written yet."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Drops what was taken: its bundle has failed, or it was counted."""
        self._items = self._letters = 0
        self._times: list[int | None] = []

    def take(self, outcome: Outcome) -> None:
        """Takes note of an outcome."""
        self.note(outcome.message, letter=not isinstance(outcome, CategorizedItem))

    def note(self, message: Message | None, *, letter: bool) -> None:
        """Takes note of what came of a message: a dead letter, or an item."""
        if letter:
            self._letters += 1
        else:
            self._items += 1
        if message is not None:
            self._times.append(message.timestamp)

    def durable(self, began: float, refused: Iterable[DeadLetter] = ()) -> None:
        """Counts what was taken: it is in its sink.

        Args:
            began: When its writing began, by `time.perf_counter`.
            refused: What the sink did not take: others write it.
        """
        if not self._items and not self._letters:
            return
        now = time.time() * 1000
        FIGURES.observe(WRITE_SECONDS, time.perf_counter() - began)
        gone = Counter(letter.message.timestamp for letter in refused)
        # A sink may refuse a dead letter only by failing.
        items = self._items - gone.total()
        for outcome, n in (("categorized", items), ("dead_letter", self._letters)):
            if n > 0:
                FIGURES.add(WRITTEN, n, outcome)
        times = (list((Counter(self._times) - gone).elements())) if gone else self._times
        FIGURES.observe_all(
            END_TO_END_SECONDS,
            # By another clock it may come from the future.
            [max(0.0, now - t) / 1000 for t in times if t is not None and 0 <= t <= _LATEST],
        )
        self.forget()
