"""Waiting out what heals by itself: a server that is away, a quota that is used up."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import ClassVar

from models.errors import one_line
from transforms.reading import draining
from transforms.watching.figures import FIGURES
from transforms.watching.metrics import RETRIES

#: Waits between attempts, in seconds: the first, and the longest; jittered by half.
FIRST_DELAY, LONGEST_DELAY = 0.1, 10.0
#: At most one log line about trouble in this time, in seconds.
LOG_INTERVAL = 60.0
#: How long a drain waits for a server that does not come back, in seconds.
DRAIN_PATIENCE = 30.0


class Patience:
    """Waits out one kind of trouble: back-off with jitter, and a log line now and then.

    Who has a log and words of their own says so in a class of their own.

    Args:
        what: What is being tried, for the log.
        clock: Gives seconds that never go back.
        sleep: Waits for seconds.
    """

    #: Where it is said that something is waited for.
    log: ClassVar[logging.Logger] = logging.getLogger("newsbeam")

    def __init__(
        self,
        what: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._what = what
        self._clock = clock
        self._sleep = sleep
        self._delay = FIRST_DELAY
        self._began: float | None = None

    @staticmethod
    def said(error: BaseException) -> str:
        """An error in plain words."""
        return one_line(error)

    def wait(self, error: Exception) -> None:
        """Waits before the next attempt.

        Raises:
            Exception: The error, if the pipeline is draining and has been patient.
        """
        now = self._clock()
        if self._began is None:
            self._began = now
        if draining() and now - self._began > DRAIN_PATIENCE:
            raise error
        FIGURES.add(RETRIES, 1, self.log.name.removeprefix("newsbeam."))
        if _may_log(now):
            # Nearly all of it heals within seconds: only what doesn't is a warning.
            lasted = now - self._began
            level = logging.INFO if lasted < LOG_INTERVAL else logging.WARNING
            self.log.log(
                level, "%s: %s; trying again for %.0f s", self._what, self.said(error), lasted
            )
        self._sleep(self._delay * random.uniform(0.5, 1.5))
        self._delay = min(self._delay * 2, LONGEST_DELAY)


_logged_at = -LOG_INTERVAL
_logged_lock = threading.Lock()


def _may_log(now: float) -> bool:
    """Whether it is time for a line: all shards have the same trouble at once."""
    global _logged_at
    with _logged_lock:
        if now - _logged_at < LOG_INTERVAL:
            return False
        _logged_at = now
        return True
