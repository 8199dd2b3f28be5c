"""Micro-batches: every row once, nothing above the budget, little padding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.micro_batch import micro_batches


@given(
    st.lists(st.integers(0, 600), max_size=80),
    st.integers(1, 4096),
    st.integers(1, 40),
)
def test_the_rules(lengths: list[int], max_tokens: int, max_rows: int) -> None:
    batches = micro_batches(lengths, max_tokens=max_tokens, max_rows=max_rows)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    flat = [lengths[i] for batch in batches for i in batch]
    assert flat == sorted(lengths, reverse=True)
    for batch in batches:
        assert 1 <= len(batch) <= max_rows
        assert len(batch) == 1 or lengths[batch[0]] * len(batch) <= max_tokens


def test_batches_are_as_full_as_they_may_be() -> None:
    batches = micro_batches([10] * 10, max_tokens=40, max_rows=32)
    assert [len(b) for b in batches] == [4, 4, 2]
    assert micro_batches([5, 500, 7], max_tokens=100, max_rows=8) == [[1], [2, 0]]
    assert micro_batches([], max_tokens=1, max_rows=1) == []


@pytest.mark.parametrize(("tokens", "rows"), [(0, 1), (1, 0)])
def test_limits_below_one_are_refused(tokens: int, rows: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        micro_batches([1], max_tokens=tokens, max_rows=rows)
