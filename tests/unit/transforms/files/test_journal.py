"""Journals: whole bundles come back, and nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit import strategies
from transforms.files.journal import Journal, frame
from transforms.files.partitions import group_of
from transforms.files.write import to_line
from transforms.identities import identity
from transforms.records import CategorizedItem, DeadLetter, KafkaPosition, Message, dead_letter

Outcomes = Sequence[CategorizedItem | DeadLetter]

outcomes = st.lists(strategies.categorized_items | strategies.dead_letters, max_size=6)


def frame_of(outcomes: Outcomes, by: tuple[str, ...] = ()) -> bytes:
    return frame([(o, to_line(o)) for o in outcomes], by)


def journal_of(data: bytes) -> Journal:
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
    file.write(data)
    return Journal(file, "jsonl")


def lines_of(journal: Journal) -> dict[str, list[bytes]]:
    return {f"{group.kind}/{group.folder}": list(journal.lines(group)) for group in journal.groups}


def first_ones(bundles: Sequence[Outcomes], by: tuple[str, ...]) -> dict[str, list[bytes]]:
    """The lines of all records by group, of each record the first."""
    lines: dict[str, dict[object, bytes]] = {}
    for number, outcome in enumerate(o for bundle in bundles for o in bundle):
        group = group_of(outcome, by)
        own: object = identity(outcome)
        if own is None:
            own = number
        lines.setdefault(f"{group.kind}/{group.folder}", {}).setdefault(own, to_line(outcome))
    return {group: list(of.values()) for group, of in lines.items()}


@given(st.lists(outcomes, max_size=4))
def test_it_gives_back_what_it_was_given(bundles: list[Outcomes]) -> None:
    by = ("category", "hour")
    journal = journal_of(b"")
    for bundle in bundles:
        journal.append(frame_of(bundle, by))
    assert lines_of(journal) == first_ones(bundles, by)
    again = journal_of(b"".join(frame_of(bundle, by) for bundle in bundles))
    assert lines_of(again) == lines_of(journal)
    assert again.size == journal.size
    assert again.largest == journal.largest


@settings(max_examples=50)
@given(outcomes, outcomes.filter(bool), st.data())
def test_a_bundle_that_was_cut_off_is_none(
    whole: Outcomes, torn: Outcomes, data: st.DataObject
) -> None:
    before, after = frame_of(whole), frame_of(torn)
    cut = data.draw(st.integers(0, len(after) - 1))
    journal = journal_of(before + after[:cut])
    assert lines_of(journal) == first_ones([whole], ())
    # What comes next stands where it can be read again.
    journal.append(after)
    assert lines_of(journal) == first_ones([whole, torn], ())


@pytest.mark.parametrize("place", [0, 5, 9, 20, -1])
def test_a_bundle_with_a_wrong_byte_is_none(place: int) -> None:
    letter = dead_letter(Message(b"x"), "ParseNews", ValueError("no"))
    data = bytearray(frame_of([letter]))
    data[place] ^= 1
    assert lines_of(journal_of(bytes(data))) == {}


def test_a_record_that_comes_again_is_in_it_once() -> None:
    message = Message(b"x", source=KafkaPosition("news", 0, 7))
    letter = dead_letter(message, "ParseNews", ValueError("no"))
    of_new_topic = msgspec.structs.replace(message, value=b"y")
    other = msgspec.structs.replace(letter, message=of_new_topic)
    later = msgspec.structs.replace(letter, message=msgspec.structs.replace(message, timestamp=1))
    nowhere = dead_letter(Message(b"x"), "ParseNews", ValueError("no"))
    journal = journal_of(b"")
    of_model = msgspec.structs.replace(letter, model="another")
    for bundle in ([letter, nowhere], [letter], [nowhere, other, later, of_model]):
        journal.append(frame_of(bundle))
    assert lines_of(journal) == {
        "dead-letters/": [
            to_line(each) for each in (letter, nowhere, nowhere, other, later, of_model)
        ]
    }
