"""Shards: each partition has exactly one, and positions survive being written down."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kafka import TopicPartition

from tests.unit.strategies import topic_names
from transforms.errors import ConfigurationError
from transforms.kafka.shards import from_offsets, owned_partitions, start_at, to_offsets
from transforms.shard_state import Restriction, StateCoder

counts = st.dictionaries(topic_names, st.integers(0, 12), min_size=1, max_size=4)
positions = st.dictionaries(
    st.builds(TopicPartition, topic_names, st.integers(0, 10_000)), st.integers(0, 2**63 - 1)
)


def partitions_of(topics: dict[str, int]) -> list[TopicPartition]:
    return [TopicPartition(topic, p) for topic, n in topics.items() for p in range(n)]


@given(counts, st.integers(1, 10))
def test_each_partition_belongs_to_exactly_one_shard(topics: dict[str, int], shards: int) -> None:
    partitions = partitions_of(topics)
    shared = [
        tp for k in range(shards) for tp in owned_partitions(partitions, list(topics), k, shards)
    ]
    assert sorted(shared) == sorted(partitions)


@given(counts, st.integers(1, 10), st.integers(0, 5))
def test_a_partition_keeps_its_shard_when_others_are_added(
    topics: dict[str, int], shards: int, more: int
) -> None:
    before = partitions_of(topics)
    after = partitions_of({topic: n + more for topic, n in topics.items()})
    for k in range(shards):
        owned = owned_partitions(before, list(topics), k, shards)
        assert set(owned) <= set(owned_partitions(after, list(topics), k, shards))


@given(st.integers(1, 20), st.integers(1, 10))
def test_partitions_of_a_topic_are_spread_evenly(partitions: int, shards: int) -> None:
    all_of_it = partitions_of({"news": partitions})
    sizes = [len(owned_partitions(all_of_it, ["news"], k, shards)) for k in range(shards)]
    assert max(sizes) - min(sizes) <= 1


def test_topics_of_one_partition_do_not_all_fall_to_one_shard() -> None:
    topics = {"a": 1, "b": 1, "c": 1}
    sizes = [len(owned_partitions(partitions_of(topics), list(topics), k, 3)) for k in range(3)]
    assert sizes == [1, 1, 1]


@given(positions)
def test_offsets_survive_being_written_down(offsets: dict[TopicPartition, int]) -> None:
    plain = to_offsets(offsets)
    assert from_offsets(plain) == offsets
    coder = StateCoder(Restriction)
    back = coder.decode(coder.encode(Restriction(plain)))
    assert from_offsets(back.position) == offsets


@pytest.mark.parametrize("word", ["committed", "earliest", "latest"])
def test_start_words(word: str) -> None:
    assert start_at(word) == word


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1600000000123", 1_600_000_000_123),
        ("2020-09-13T12:26:40Z", 1_600_000_000_000),
        ("2020-09-13T12:26:40", 1_600_000_000_000),
        ("2020-09-13T14:26:40.5+02:00", 1_600_000_000_500),
    ],
)
def test_start_times(text: str, ms: int) -> None:
    assert start_at(text) == ms


@given(st.text())
@example("²")
@example("9" * 5000)
@example("Latest")
def test_any_start_is_a_start_or_a_clear_error(text: str) -> None:
    try:
        start = start_at(text)
    except ConfigurationError:
        return
    assert isinstance(start, int) or start in {"committed", "earliest", "latest"}
