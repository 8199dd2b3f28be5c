"""Coders: what goes between stages comes out as it went in, and always as the same bytes."""

from __future__ import annotations

import apache_beam as beam
import msgspec
import pytest
from apache_beam import coders
from apache_beam.internal import pickler
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from tests.unit import strategies
from tests.unit.running import local_pipeline
from transforms.coders import RecordCoder, StructCoder
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    KafkaPosition,
    Message,
    NewsItem,
    Record,
    TokenizedNews,
)


class Place(msgspec.Struct, frozen=True):
    offsets: dict[str, int]


@given(strategies.records)
def test_every_record_comes_out_as_it_went_in(record: Record) -> None:
    coder = RecordCoder()
    back = coder.decode(coder.encode(record))
    assert back == record
    assert type(back) is type(record)


@given(strategies.records)
def test_a_coder_from_another_process_reads_the_same(record: Record) -> None:
    there = pickler.loads(pickler.dumps(RecordCoder()))
    assert there.decode(RecordCoder().encode(record)) == record


@given(st.dictionaries(st.text(max_size=5), st.integers(0, 2**63), max_size=6))
def test_struct_coder_is_deterministic(offsets: dict[str, int]) -> None:
    coder = StructCoder(Place)
    assert coder.is_deterministic()
    backwards = dict(reversed(offsets.items()))
    assert coder.encode(Place(offsets)) == coder.encode(Place(backwards))
    assert coder.decode(coder.encode(Place(offsets))) == Place(offsets)


def test_struct_coders_are_equal_where_their_types_are() -> None:
    assert StructCoder(Place) == pickler.loads(pickler.dumps(StructCoder(Place)))
    assert hash(StructCoder(Place)) == hash(StructCoder(Place))
    assert StructCoder(Place) != StructCoder(Message)


@pytest.mark.parametrize(
    "record", [Record, Message, NewsItem, TokenizedNews, CategorizedItem, DeadLetter]
)
def test_beam_encodes_our_records_with_our_coder(record: type) -> None:
    assert isinstance(coders.registry.get_coder(record), RecordCoder)


def test_records_go_through_a_shuffle() -> None:
    messages = [
        Message(bytes([i]) * 3, key=b"k", source=KafkaPosition("news", 0, i)) for i in range(20)
    ]
    with local_pipeline() as p:
        out = p | beam.Create(messages) | beam.Reshuffle()
        assert_that(out, equal_to(messages))
