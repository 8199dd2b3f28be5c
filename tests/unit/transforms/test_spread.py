"""Spread over Flink's subtasks: hashes as Java has them, and as many shards for each subtask."""

from __future__ import annotations

from collections import Counter

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from hypothesis import given
from hypothesis import strategies as st

from transforms.reading import numbered
from transforms.shard_state import ShardCoder
from transforms.spread import even_groups, key_group, key_groups


@pytest.mark.parametrize(
    ("encoded", "group"),
    [
        # What `KeyGroupRangeAssignment.assignToKeyGroup(FlinkKey.of(…), 128)` gave, of Flink 1.19.3
        # and Beam 2.70, for keys of all kinds of lengths.
        ("", 46),
        ("a", 119),
        ("news:0/4", 119),
        ("fifteen bytes!!", 54),
        ("sixteen bytes!!!", 79),
        ('{"format":1,"shard":"news:0/4","of":4,"key":17}', 26),
    ],
)
def test_key_groups_are_those_of_flink(encoded: str, group: int) -> None:
    assert key_group(encoded.encode(), 128) == group


@pytest.mark.parametrize(
    ("parallelism", "groups"), [(1, 128), (85, 128), (86, 256), (1000, 2048), (30_000, 32_768)]
)
def test_as_many_key_groups_as_flink_makes(parallelism: int, groups: int) -> None:
    assert key_groups(parallelism) == groups


def _subtasks(groups: list[int], parallelism: int, of: int) -> list[int]:
    """How many of these groups each subtask has: as Flink assigns them."""
    counts = Counter(group * parallelism // of for group in groups)
    return [counts[subtask] for subtask in range(parallelism)]


@given(st.integers(1, 70), st.integers(1, 100), st.integers(100, 300))
def test_any_first_shards_are_spread_evenly(count: int, parallelism: int, groups: int) -> None:
    shards = _subtasks(even_groups(count, parallelism, groups), parallelism, groups)
    assert max(shards) - min(shards) <= 1
    assert sum(shards) == count


@pytest.mark.parametrize("before", [1, 2, 4])
@pytest.mark.parametrize("after", [1, 2, 4])
@pytest.mark.parametrize("count", [4, 7, 8])
def test_another_parallelism_finds_them_spread(before: int, after: int, count: int) -> None:
    shards = _subtasks(even_groups(count, before, 128), after, 128)
    assert max(shards) - min(shards) <= 1


@pytest.mark.parametrize("flags", [[], ["--parallelism=2"], ["--max_parallelism=60"]])
def test_shards_are_numbered_so_that_they_fall_where_they_should(flags: list[str]) -> None:
    names = [f"news:{k}/7" for k in range(7)]
    options = PipelineOptions(flags)
    shards = numbered(names, options)
    assert [shard.shard for shard in shards] == names
    groups = 60 if "--max_parallelism=60" in flags else 128
    fallen = [key_group(ShardCoder().encode(shard), groups) for shard in shards]
    assert fallen == even_groups(7, 2 if "--parallelism=2" in flags else 1, groups)
