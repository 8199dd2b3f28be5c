"""How much a shard may take at once, so that the turn of each comes soon."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: How long the messages of a turn may keep the steps after the reading one busy, in seconds. Longer
#: turns cost less, since each ends with a commit; but a message that comes meanwhile waits for the end
#: of this turn and of the next. So turns are longer where whatever comes has to wait anyway.
TURN, LONG_TURN = 0.2, 1.0
#: Messages of a turn: at least, at most, and where no step has said yet what a message costs.
LEAST, MOST, UNKNOWN = 8, 2000, 200
#: A shard that has not had a turn for this long takes no part, in seconds.
GONE = 2.0
#: What was measured before counts so much when something is measured again.
_KEPT = 0.8


@dataclass(frozen=True)
class _Turn:
    at: float
    took: bool
    live: bool


class Pace:
    """Fits the turns of all shards of a process to what messages cost there.

    Args:
        clock: Gives seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._turns: dict[str, _Turn] = {}
        self._working = 0
        self._since = 0.0
        self._busy = self._messages = 0.0

    @contextlib.contextmanager
    def work(self, messages: int) -> Iterator[None]:
        """Measures a step's work on messages; what several threads do at once counts once."""
        with self._lock:
            if not self._working:
                self._since = self._clock()
            self._working += 1
        try:
            yield
        finally:
            with self._lock:
                now = self._clock()
                self._busy = _KEPT * self._busy + now - self._since
                self._messages = _KEPT * self._messages + messages
                self._since = now
                self._working -= 1

    def turn(self, shard: str, took: bool, live: bool) -> None:
        """Takes note of a shard's turn.

        Args:
            shard: The shard.
            took: Whether it took messages.
            live: Whether some of it is up to date.
        """
        with self._lock:
            self._turns[shard] = _Turn(self._clock(), took, live)

    def limit(self, shard: str) -> int:
        """How many messages a shard may take in its turn."""
        with self._lock:
            now = self._clock()
            self._turns = {s: turn for s, turn in self._turns.items() if now - turn.at < GONE}
            if not self._messages:
                return UNKNOWN
            live = any(turn.live for turn in self._turns.values())
            in_all = (TURN if live else LONG_TURN) * self._messages / max(self._busy, 1e-9)
            taking = {s for s, turn in self._turns.items() if turn.took} | {shard}
            return int(max(LEAST, min(in_all, MOST) / len(taking)))


#: The pace of this process.
PACE = Pace()
