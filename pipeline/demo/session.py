"""One run of the demo: broker, traffic and pipeline side by side, and a reader of what comes out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from pipeline.demo.bus import Bus, DemoError, Outcomes, Outgoing
from pipeline.demo.ledger import Ledger, Totals
from pipeline.demo.show import Show
from pipeline.demo.traffic import Traffic
from pipeline.outcomes import UnreadableRecord, outcome_of
from transforms.records import DeadLetter, Message

#: How often the screen is drawn again, in seconds.
REDRAW = 0.1
#: How long it waits for outcomes at a time, in seconds.
WAIT = 0.1


class Pipeline:
    """A blocking pipeline in a thread of its own.

    Args:
        execute: Runs it until it is done.
        drain: Makes its sources finish.
    """

    def __init__(self, execute: Callable[[], None], drain: Callable[[], None]) -> None:
        self._execute = execute
        self._drain = drain
        self._thread = threading.Thread(target=self._run, name="newsbeam-demo-run", daemon=True)
        #: Why it ended, if it failed.
        self.error: BaseException | None = None

    def _run(self) -> None:
        try:
            self._execute()
        except BaseException as e:
            self.error = e

    def start(self) -> None:
        """Starts it."""
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def drain(self) -> None:
        """Makes it finish what it has begun, and end."""
        self._drain()


class Session:
    """Produces messages, waits for all of them to come out, and keeps the books.

    Args:
        bus: The broker, started.
        messages: What to produce.
        rate: Messages per second.
        pipeline: What turns them into categorized items and dead letters.
        show: Where it is shown.
        clock: Gives seconds that never go back.
        patience: When nothing has come out for so many seconds, though something should, it is lost.
    """

    def __init__(
        self,
        bus: Bus,
        messages: Sequence[Outgoing],
        rate: float,
        pipeline: Pipeline,
        show: Show,
        clock: Callable[[], float] = time.monotonic,
        patience: float = 120.0,
    ) -> None:
        self._bus = bus
        self._pipeline = pipeline
        self._show = show
        self._clock = clock
        self._patience = patience
        self._ledger = Ledger()
        self._traffic = Traffic(bus, messages, rate, self._ledger, clock)
        self._begun = self._progress = self._drawn = clock()
        self._interrupted = False
        self._came = False

    def interrupt(self) -> None:
        """Ends producing early; what was produced still comes out. Safe in a signal handler."""
        self._interrupted = True
        self._traffic.stop()

    def run(self) -> Totals:
        """Runs until everything produced came out.

        Returns:
            The books at the end.

        Raises:
            DemoError: The pipeline, the producer or the broker failed.
        """
        outcomes = self._bus.outcomes()
        try:
            self._traffic.start()
            self._pipeline.start()
            self._follow(outcomes)
            self._drain(outcomes)
        finally:
            # However this ends, nothing of it must keep the process from ending.
            self._traffic.stop()
            self._pipeline.drain()
            outcomes.close()
        return self._ledger.totals()

    def _follow(self, outcomes: Outcomes) -> None:
        """Takes outputs until all is in and out, or nothing comes any more."""
        self._progress = self._clock()
        while not (self._traffic.done and self._ledger.settled):
            self._check()
            if not self._take(outcomes) and self._clock() - self._progress > self._patience:
                return
            if self._came:
                self._traffic.go()
            self._draw(self._doing())
        self._check()

    def _doing(self) -> str:
        if not self._came:
            return "starting the pipeline"
        if not self._traffic.done:
            return "stopping" if self._interrupted else "producing"
        return "waiting for the last ones"

    def _drain(self, outcomes: Outcomes) -> None:
        """Ends the pipeline, then looks whether anything came out twice."""
        self._pipeline.drain()
        while self._pipeline.running:
            self._take(outcomes)
            self._draw("draining the pipeline")
        if self._pipeline.error is not None:
            raise DemoError.because("the pipeline failed", self._pipeline.error)
        while self._take(outcomes):
            pass
        self._draw("done", at_once=True)

    def _check(self) -> None:
        if self._traffic.error is not None:
            raise DemoError.because("producing failed", self._traffic.error)
        if not self._pipeline.running:
            if self._pipeline.error is not None:
                raise DemoError.because("the pipeline failed", self._pipeline.error)
            raise DemoError("the pipeline ended early")

    def _take(self, outcomes: Outcomes) -> int:
        """Books and shows what has come out; returns how many records that were."""
        came = outcomes.poll(WAIT)
        for message in came:
            self._book(message)
        if came:
            self._came = True
            self._progress = self._clock()
        return len(came)

    def _book(self, message: Message) -> None:
        seconds = self._clock()
        try:
            outcome = outcome_of(message)
        except UnreadableRecord as e:
            raise DemoError(f"the pipeline wrote something odd: {e}") from None
        if isinstance(outcome, DeadLetter):
            place = dict(message.headers).get("newsbeam.source") or b""
            self._ledger.dead_letter(place.decode(), outcome.stage, seconds)
            self._show.dead_letter(outcome)
        else:
            self._ledger.categorized(str(outcome.source), outcome.category, seconds)
            self._show.categorized(outcome)

    def _draw(self, doing: str, at_once: bool = False) -> None:
        now = self._clock()
        if at_once or now - self._drawn >= REDRAW:
            self._drawn = now
            self._show.update(self._ledger.totals(), now - self._begun, doing)
