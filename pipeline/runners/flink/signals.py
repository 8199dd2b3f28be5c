"""SIGTERM and Ctrl-C while a job runs elsewhere: noted, and acted upon by who follows the job."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType

log = logging.getLogger("newsbeam.flink")


class Asked:
    """Whether somebody has asked us to stop, and how often.

    Attributes:
        name: Of the first signal.
        times: How often.
        on_its_way: Whether the job is being handed over to Flink, which may take a minute and can't be
            given up; who asks is told so.
    """

    def __init__(self) -> None:
        self.on_its_way = False
        self._event = threading.Event()
        self.name = ""
        self.times = 0

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Waits until somebody asks, or so long."""
        return self._event.wait(seconds)

    def note(self, name: str) -> None:
        """Somebody asks."""
        self.name = self.name or name
        self.times += 1
        self._event.set()
        if self.on_its_way and self.times == 1:
            log.info("%s: waiting until Flink has the job; Ctrl-C gives up", name)


@contextlib.contextmanager
def asked_by_signals() -> Iterator[Asked]:
    """Has SIGTERM and Ctrl-C only ask; the second Ctrl-C interrupts.

    Only the main thread may handle signals: elsewhere nobody asks.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        asked.note(signal.Signals(number).name)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
