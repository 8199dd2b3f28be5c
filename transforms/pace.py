"""How much a shard may take at once, so that the turn of each comes soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

#: How long the messages of a turn may keep the steps after the reading one busy, in seconds. Longer
#: turns cost less, since each ends with a commit; but a message that comes meanwhile waits for the end
#: of this turn and of the next. So turns are longer where whatever comes has to wait anyway.
TURN, LONG_TURN = 0.2, 1.0
#: Messages of a turn: at least, at most, and where no step has said yet what a message costs.
LEAST, MOST, UNKNOWN = 8, 2000, 32
#: A shard that has not had a turn for this long takes no part, in seconds.
GONE = 2.0
#: What was measured before counts so much when something is measured again.
_KEPT = 0.8


@dataclass(frozen=True)
class _Turn:
    """A shard's last turn: when, how much it could use (infinite, if it took all it might), how live."""

    at: float
    use: float
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
        self._until = 0.0
        self._busy = self._messages = 0.0

    def worked(self, messages: int, since: float) -> None:
        """Takes note of work on messages that is done now; what was done at once counts once.

        Args:
            messages: How many.
            since: When it began, in seconds of the clock.
        """
        with self._lock:
            now = self._clock()
            self._busy = _KEPT * self._busy + now - max(since, self._until)
            self._messages = _KEPT * self._messages + messages
            self._until = now

    def turn(self, shard: str, taken: int, limit: int, live: bool) -> None:
        """Takes note of a shard's turn.

        Args:
            shard: The shard.
            taken: How many messages it took.
            limit: How many it might take.
            live: Whether some of it is up to date.
        """
        with self._lock:
            use = float("inf") if taken >= limit else taken
            self._turns[shard] = _Turn(self._clock(), use, live)

    def limit(self, shard: str) -> int:
        """How many messages a shard may take in its turn: its part, and what others have no use for."""
        with self._lock:
            now = self._clock()
            self._turns = {s: turn for s, turn in self._turns.items() if now - turn.at < GONE}
            if not self._messages:
                return UNKNOWN
            live = any(turn.live for turn in self._turns.values())
            left = min(MOST, (TURN if live else LONG_TURN) * self._messages / max(self._busy, 1e-9))
            others = sorted(turn.use for s, turn in self._turns.items() if s != shard)
            parts = len(others) + 1
            for use in others:
                if use > left / parts:
                    break
                left -= use
                parts -= 1
            return int(max(LEAST, left / parts))


#: The pace of this process.
PACE = Pace()
