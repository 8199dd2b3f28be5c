"""Which messages are doubles of one that was there before, as far as a bounded memory tells."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass
class _First:
    """The first message of a value."""

    message_id: str
    at: float
    final: bool = False


class Dedupe:
    """Remembers the values of an attribute that tells news apart: best effort, within one process.

    Args:
        attribute: Its name; `message_id` is Pub/Sub's own id.
        most: How many values are remembered.
        seconds: For how long.
    """

    def __init__(self, attribute: str, most: int = 100_000, seconds: float = 600.0) -> None:
        self.attribute = attribute
        self._most = most
        self._seconds = seconds
        self._firsts: OrderedDict[str, _First] = OrderedDict()

    def __len__(self) -> int:
        return len(self._firsts)

    def first_of(self, value: str, message_id: str, now: float) -> tuple[str, bool] | None:
        """The message that came with this value before, and whether it is final.

        Args:
            value: The attribute's value.
            message_id: The message that comes now: it is the first, if none was.
            now: The time, in seconds that never go back.

        Returns:
            None for the first.
        """
        while self._firsts and now - next(iter(self._firsts.values())).at > self._seconds:
            self._firsts.popitem(last=False)
        first = self._firsts.get(value)
        if first is None:
            self._firsts[value] = _First(message_id, now)
            if len(self._firsts) > self._most:
                self._firsts.popitem(last=False)
            return None
        return first.message_id, first.final

    def is_final(self, value: str, message_id: str) -> None:
        """Takes note that all is done for a message: its doubles are not needed any more."""
        first = self._firsts.get(value)
        if first is not None and first.message_id == message_id:
            first.final = True

    def forget(self, value: str, message_id: str) -> None:
        """Takes note that a message was given back: the next one of its value is the first."""
        first = self._firsts.get(value)
        if first is not None and first.message_id == message_id and not first.final:
            del self._firsts[value]
