"""SIGTERM and Ctrl-C while a job runs: acted upon, or only noted, for who follows it elsewhere."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

#: How often is looked whether somebody has asked, in seconds.
_LOOK = 0.1


log = logging.getLogger("newsbeam")


class Asked:
    """Whether somebody has asked us to stop, and how often.

    Attributes:
        name: Of the first signal.
        times: How often.
        on_its_way: Whether a job is being handed over, which may take a minute and can't be given
            up; who asks is told so.
    """

    def __init__(self) -> None:
        self.on_its_way = False
        self.name = ""
        self.times = 0
        self._noticed = 0

    def __bool__(self) -> bool:
        return self.times > 0

    def wait(self, seconds: float) -> bool:
        """Waits until somebody asks, or asks once more, or so long."""
        # No event: a handler that interrupts who waits for one may find it locked, for ever.
        deadline = time.monotonic() + seconds
        while self.times == self._noticed:
            if (left := deadline - time.monotonic()) <= 0:
                return False
            time.sleep(min(left, _LOOK))
        self._noticed = self.times
        return True

    def note(self, name: str) -> None:
        """Somebody asks."""
        self.name = self.name or name
        self.times += 1
        if self.on_its_way and self.times == 1:
            log.info("%s: waiting until the job has begun; Ctrl-C gives up", name)


@contextlib.contextmanager
def asked_by_signals(*, interrupts: bool = True) -> Iterator[Asked]:
    """Has SIGTERM and Ctrl-C only ask.

    Only the main thread may handle signals: elsewhere nobody asks.

    Args:
        interrupts: Whether a second Ctrl-C interrupts.
    """
    asked = Asked()

    def on_signal(number: int, frame: FrameType | None) -> None:
        asked.note(signal.Signals(number).name)
        if interrupts:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    with handled_by(on_signal):
        yield asked


@contextlib.contextmanager
def handled_by(on_signal: Callable[[int, FrameType | None], None]) -> Iterator[bool]:
    """Has something called at SIGTERM and Ctrl-C.

    Only the main thread may handle signals: elsewhere this does nothing, and yields False.
    """
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    before = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield True
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
