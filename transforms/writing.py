"""Writing outcomes: a DoFn over any sink whose records can be sent together and awaited.

    outcomes | WriteOutcomes(Sports) | WriteOutcomes(the rest) | WriteOutcomes(dead letters)

Each step writes its share of a bundle and passes on what is not its own, the dead letters of what its
sink did not take included. A chain and no Flatten: it stays one fused stage, in which all is durable
before the runner finalizes the bundle, and with that commits what the source has read.

What differs between Kafka, Pub/Sub and files is a `Sink` and its `Writer`s.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from transforms.event_time import event_timestamp
from transforms.records import CategorizedItem, DeadLetter, Outcome, Record
from transforms.watching.written import Written


class Share(NamedTuple):
    """Which outcomes are a sink's.

    Attributes:
        categories: The categories of its items; None are all of them.
        letters: Whether dead letters are.
    """

    categories: frozenset[str] | None = None
    letters: bool = False

    def takes(self, outcome: Outcome) -> bool:
        """Whether an outcome is among them."""
        if not isinstance(outcome, CategorizedItem):
            return self.letters
        return self.categories is None or outcome.category in self.categories


#: All items, and no dead letters.
ITEMS = Share()
#: All dead letters, and no items.
LETTERS = Share(frozenset(), letters=True)
#: Both.
ALL = Share(None, letters=True)


class Writer(abc.ABC):
    """Writes outcomes of one bundle after the other.

    There is one for each copy of the step, of which runners keep many (Beam holds those of bundles
    that are not final): clients and connections belong to the process (`PerProcess`).
    """

    @abc.abstractmethod
    def add(self, outcome: Outcome) -> None:
        """Takes an outcome; may send it, and need not wait."""

    @abc.abstractmethod
    def flush(self) -> Iterable[DeadLetter]:
        """Writes what was taken since the last time: it is durable when this returns.

        Returns:
            The dead letters of items that can't be written. Dead letters must be: they are cut,
            if need be.

        Raises:
            Exception: The sink fails; the bundle is tried again.
        """

    @property
    def full(self) -> bool:
        """Whether so much was taken that it should be written before the bundle ends."""
        return False

    @abc.abstractmethod
    def forget(self) -> None:
        """Drops what was taken and not written: its bundle has failed."""


class Sink(abc.ABC):
    """Where outcomes go; pickled into the pipeline."""

    @abc.abstractmethod
    def writer(self) -> Writer:
        """A new writer."""


class _Write(beam.DoFn):
    def __init__(self, sink: Sink, share: Share) -> None:
        super().__init__()
        self._sink = sink
        self._share = share
        self._writer: Writer | None = None
        self._written = Written()

    def start_bundle(self) -> None:
        if self._writer is None:
            self._writer = self._sink.writer()
        # There is something only where the last bundle of this copy failed.
        self._writer.forget()
        self._written.forget()
        self._window: Any = GlobalWindow()

    def process(self, element: Outcome, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        assert self._writer is not None
        if not self._share.takes(element):
            yield element
            return
        if window != self._window:
            # What is given back is of the window that it came in.
            yield from self._flush()
            self._window = window
        self._writer.add(element)
        self._written.take(element)
        if self._writer.full:
            yield from self._flush()

    def _flush(self) -> Iterator[WindowedValue]:
        assert self._writer is not None
        began = time.perf_counter()
        letters = list(self._writer.flush())
        self._written.durable(began, letters)
        for letter in letters:
            yield WindowedValue(letter, event_timestamp(letter.message), (self._window,))

    def finish_bundle(self) -> Iterator[Any]:
        yield from self._flush()


class WriteOutcomes(beam.PTransform):
    """Writes a share of outcomes to a sink; gives the rest, and the dead letters of what was refused.

    A bundle is done when its sink has all of it.

    Args:
        sink: Where they go.
        share: Which do.
    """

    def __init__(self, sink: Sink, share: Share = ITEMS) -> None:
        super().__init__()
        self._sink = sink
        self._share = share

    def expand(self, outcomes: beam.PCollection[Outcome]) -> beam.PCollection[Outcome]:
        write = _Write(self._sink, self._share)
        return outcomes | "Write" >> beam.ParDo(write).with_output_types(Record)
