"""Steps whose failures are records: what a step can't process becomes a dead letter, and goes on.

Every step takes and gives one stream. A dead letter of an earlier step passes through the later ones
untouched, so that the outputs of a bundle, good and dead, arrive at the sink together. That keeps the
main path one fused stage: a Flatten of side outputs would break it in two on the local runners, and
with it the promise that outputs, dead letters and source offsets are written in one transaction.
`SplitOutcomes` gives the two streams to those who want them apart.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from transforms.failures import PipelineFailure
from transforms.records import CategorizedItem, DeadLetter, Message, Outcome, Record, dead_letter
from transforms.release import Stamp
from transforms.tally import TALLY


class Step(beam.DoFn, abc.ABC):
    """A DoFn that turns one record into one record, or into its dead letter.

    Subclasses say what they do to a record in `apply`; any exception there makes a dead letter with
    the name of the step as its stage. A `PipelineFailure` alone does not: it is no record's fault.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stamp = Stamp()

    @abc.abstractmethod
    def apply(self, record: Any) -> Record:
        """Processes one record."""

    def message_of(self, record: Any) -> Message:
        """The message that a record came from."""
        return record.message

    def process(self, element: Record) -> Iterator[Record]:
        if isinstance(element, DeadLetter):
            yield element
            return
        try:
            result = self.apply(element)
        except PipelineFailure:
            raise
        except Exception as e:
            result = dead_letter(self.message_of(element), type(self).__name__, e)
        error = None
        if isinstance(result, DeadLetter):
            TALLY.dead_letter(result.stage)
            error = result.error
        TALLY.first.result(type(self).__name__, error)
        yield result


class SplitNews(NamedTuple):
    """The two streams that come of classifying news."""

    categorized: beam.PCollection[CategorizedItem]
    dead_letters: beam.PCollection[DeadLetter]


class _Split(beam.DoFn):
    def process(self, element: Outcome) -> Iterator[Outcome | TaggedOutput]:
        if isinstance(element, DeadLetter):
            yield TaggedOutput("dead_letters", element)
        else:
            yield element


class SplitOutcomes(beam.PTransform):
    """Splits outcomes into categorized items and dead letters."""

    def expand(self, outcomes: beam.PCollection[Outcome]) -> SplitNews:
        split = outcomes | beam.ParDo(_Split()).with_outputs("dead_letters", main="categorized")
        split.categorized.element_type = CategorizedItem
        split.dead_letters.element_type = DeadLetter
        return SplitNews(split.categorized, split.dead_letters)
