"""Steps: whatever goes wrong with a record stays with that record."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given

from tests.unit import strategies
from tests.unit.running import local_pipeline
from transforms.dead_letters import SplitOutcomes, Step
from transforms.records import CategorizedItem, DeadLetter, Message, Record, dead_letter
from transforms.tally import TALLY


class Shout(Step):
    """Makes a message loud; what is no ASCII can't be."""

    def message_of(self, record: Any) -> Message:
        return record

    def apply(self, record: Any) -> Message:
        return Message(record.value.decode("ascii").upper().encode(), key=record.key)


def test_one_record_in_one_record_out() -> None:
    assert list(Shout().process(Message(b"a", key=b"k"))) == [Message(b"A", key=b"k")]
    assert TALLY.snapshot().dead == 0


def test_an_error_is_a_dead_letter_of_the_whole_message() -> None:
    message = Message(b"\xff", key=b"k", headers=(("a", b"b"),), timestamp=5)
    [letter] = Shout().process(message)
    assert isinstance(letter, DeadLetter)
    assert letter.message == message
    assert (letter.stage, letter.error_type) == ("Shout", "UnicodeDecodeError")
    assert letter.attempt == 1
    assert TALLY.snapshot().dead_letters == {"Shout": 1}


@given(strategies.messages)
def test_nothing_leaves_a_step_but_records(message: Message) -> None:
    [found] = Shout().process(message)
    assert isinstance(found, Record)


class Recurse(Step):
    """Never comes back."""

    def apply(self, record: Any) -> Record:
        return self.apply(record)

    def message_of(self, record: Any) -> Message:
        return record


def test_recursion_is_a_dead_letter_too() -> None:
    [letter] = Recurse().process(Message(b"x"))
    assert isinstance(letter, DeadLetter)
    assert letter.error_type == "RecursionError"


class Stop(Step):
    """Is interrupted."""

    def apply(self, record: Any) -> Record:
        raise KeyboardInterrupt

    def message_of(self, record: Any) -> Message:
        return record


def test_an_interrupt_is_not() -> None:
    with pytest.raises(KeyboardInterrupt):
        list(Stop().process(Message(b"x")))


def test_a_dead_letter_passes_all_later_steps_uncounted() -> None:
    letter = dead_letter(Message(b"\xff"), "Before", ValueError("no"))
    with local_pipeline() as p:
        out = p | beam.Create([letter]) | beam.ParDo(Shout()) | "Again" >> beam.ParDo(Shout())
        assert_that(out, equal_to([letter]))
    assert TALLY.snapshot().dead == 0


def test_split_outcomes() -> None:
    letter = dead_letter(Message(b"x"), "Before", ValueError("no"))
    item = CategorizedItem(
        "1", "World", 1.0, {"World": 1.0}, (), 3, False, "m@1", letter.time, letter.time, None, {}
    )
    with local_pipeline() as p:
        split = p | beam.Create([letter, item, letter]) | SplitOutcomes()
        assert_that(split.categorized, equal_to([item]), label="categorized")
        assert_that(split.dead_letters, equal_to([letter, letter]), label="dead letters")
    assert split.categorized.element_type is CategorizedItem
    assert split.dead_letters.element_type is DeadLetter
