"""The watermark of a subscription, which has no order: as far as can be known, nothing comes too late.

It is the least event time of what came in the last minute and of what waits here. Whatever the service
holds back is, by experience, no older than what it has sent within a minute; that is the heuristic, and
all there is, since it doesn't tell. Beam's source for Java rests on the same.
"""

from __future__ import annotations

from collections import deque

#: What came in this time says what may come next, in seconds.
SAMPLE = 60.0
#: Into so many parts it is cut.
_PARTS = 30


class Watermark:
    """Knows when a subscription was listened to, and what came.

    Args:
        max_delay: How much later than its time a message may come, in seconds.
        sample: What came in this time says what may come next, in seconds.
    """

    def __init__(self, max_delay: float, sample: float = SAMPLE) -> None:
        self._max_delay = max_delay
        self._sample = sample
        self._part = sample / _PARTS
        #: When each part began, and the least event time of what came in it.
        self._least: deque[tuple[float, float]] = deque()
        self._since: float | None = None
        self._last = 0.0

    def listening(self, at: float) -> None:
        """Somebody listens, from now on: what came before says nothing of what waits.

        Args:
            at: Now, in seconds that never go back.
        """
        self._since = at

    def deaf(self) -> None:
        """Nobody listens any more: what comes meanwhile waits."""
        self._since = None

    def came(self, at: float, event_time: float) -> None:
        """Takes note of a message.

        Args:
            at: Now, in seconds that never go back.
            event_time: Its time, in seconds since the epoch.
        """
        self._last = at
        if self._least and at - self._least[-1][0] < self._part:
            begun, least = self._least[-1]
            self._least[-1] = begun, min(least, event_time)
        else:
            self._least.append((at, event_time))

    def quiet(self, at: float) -> float:
        """For how long somebody has listened and nothing came, in seconds."""
        return 0.0 if self._since is None else at - max(self._since, self._last)

    def value(self, at: float, now: float, waiting: float | None, held: bool) -> float | None:
        """The watermark, in seconds since the epoch; None where it can't be said yet.

        Args:
            at: Now, in seconds that never go back.
            now: Now, in seconds since the epoch.
            waiting: The least event time of what came and waits here to be taken.
            held: Whether something that came is not acknowledged yet.
        """
        while self._least and at - self._least[0][0] > self._sample + self._part:
            self._least.popleft()
        if self._since is None or at - self._since < self._sample:
            return None
        known = [least for _, least in self._least]
        if not known and held:
            # It may be for our own sake that nothing comes.
            return None
        if waiting is not None:
            known.append(waiting)
        return min([*known, now - self._max_delay])
