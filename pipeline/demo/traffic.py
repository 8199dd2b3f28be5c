"""The producer of the demo: sample news with poison among them, at a pace that eyes can follow."""

from __future__ import annotations

import importlib.resources
import itertools
import json
import threading
import time
from collections.abc import Callable, Sequence

from pipeline.demo.bus import Bus, Outgoing, Producer
from pipeline.demo.ledger import Ledger
from pipeline.demo.poison import PoisonMessage

#: The poison is sorted by kind; taking every so-manieth brings different kinds early.
KINDS = 7


def sample_news() -> list[Outgoing]:
    """The sample news of the package, keyed by their ids."""
    file = importlib.resources.files("pipeline.demo").joinpath("sample_news.jsonl")
    lines = [line for line in file.read_bytes().splitlines() if line]
    return [Outgoing(line, json.loads(line)["id"].encode()) for line in lines]


def mix(news: Sequence[Outgoing], poison: Sequence[PoisonMessage], total: int) -> list[Outgoing]:
    """`total` messages: rounds of all the news with all the poison evenly among it.

    A round begins with news; the poison of its beginning is a cross section of all of it.
    """
    spread = [p for kind in range(KINDS) for p in poison[kind::KINDS]]
    length = len(news) + len(spread)
    # Poison number k takes the place in the middle of the k-th of equal stretches.
    places = {(2 * k + 1) * length // (2 * len(spread)): p for k, p in enumerate(spread)}
    items = iter(news)
    one_round = [
        Outgoing(places[i].value, places[i].key) if i in places else next(items)
        for i in range(length)
    ]
    return list(itertools.islice(itertools.cycle(one_round), total))


class Traffic:
    """Produces messages from a thread of its own and books them in the ledger.

    The first message goes out at once; the rest, at `rate` a second, once `go` is called: when the
    first one has come through, the pipeline is up.

    Args:
        bus: Where to.
        messages: What to produce.
        rate: Messages per second.
        ledger: Where to book them.
        clock: Gives seconds that never go back.
    """

    def __init__(
        self,
        bus: Bus,
        messages: Sequence[Outgoing],
        rate: float,
        ledger: Ledger,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._messages = messages
        self._rate = rate
        self._ledger = ledger
        self._clock = clock
        self._go = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="newsbeam-demo-news", daemon=True)
        #: Why producing failed, if it did.
        self.error: BaseException | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def go(self) -> None:
        """Lets the messages after the first one go."""
        self._go.set()

    def stop(self) -> None:
        """Ends producing; what was sent is still booked."""
        self._stop.set()
        self._go.set()

    @property
    def done(self) -> bool:
        """Whether nothing more will be produced: all is sent and answered by the broker."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def join(self) -> None:
        """Waits until nothing more will be produced."""
        self._thread.join()

    def _run(self) -> None:
        try:
            producer = self._bus.producer()
            try:
                self._produce(producer)
                producer.flush()
            finally:
                producer.close()
        except Exception as e:
            self.error = e

    def _produce(self, producer: Producer) -> None:
        first, *rest = self._messages
        self._send(producer, first, timed=False)
        producer.flush()
        self._go.wait()
        begin = self._clock()
        for n, message in enumerate(rest):
            if self._stop.wait(max(0.0, begin + n / self._rate - self._clock())):
                return
            self._send(producer, message)

    def _send(self, producer: Producer, message: Outgoing, timed: bool = True) -> None:
        sent = self._clock()
        producer.send(
            message, lambda place: self._ledger.produced(place, sent, timed), self._failed
        )

    def _failed(self, error: BaseException) -> None:
        self.error = error
        self.stop()
