"""Turns: shares of what is taken at once, by whom they go."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from transforms.kafka.turns import Turns

waiting = st.dictionaries(st.integers(0, 30), st.integers(1, 50), max_size=12)


@given(st.lists(st.tuples(waiting, st.integers(1, 100)), max_size=10), st.randoms())
def test_all_that_may_be_taken_is_and_no_more(
    rounds: list[tuple[dict[int, int], int]], random: object
) -> None:
    turns: Turns[int] = Turns()
    for there, limit in rounds:
        times = {k: random.randrange(1000) for k in there}  # type: ignore[attr-defined]
        shares = turns.share(there, times, limit)
        assert all(0 < n <= there[k] for k, n in shares.items())
        assert sum(shares.values()) == min(limit, sum(there.values()))


@given(st.integers(2, 40), st.integers(2, 60))
def test_those_who_always_have_something_get_the_same(partitions: int, limit: int) -> None:
    turns: Turns[int] = Turns()
    had: Counter[int] = Counter()
    there = dict.fromkeys(range(partitions), 10_000)
    times = {k: -k for k in there}  # the half for the newest is the first one's
    rounds = 200
    for _ in range(rounds):
        had.update(turns.share(there, times, limit))
    others = sorted(had[k] for k in range(1, partitions))
    assert others[-1] - others[0] <= rounds
    assert others[0] >= rounds * (limit // 2) // partitions - limit


@given(st.integers(1, 400), st.integers(2, 60))
def test_what_is_new_is_taken_at_once_whatever_the_others_have(busy: int, limit: int) -> None:
    turns: Turns[int] = Turns()
    there = dict.fromkeys(range(busy), 1000)
    times = dict.fromkeys(range(busy), 5)
    for _ in range(5):
        turns.share(there, times, limit)
    shares = turns.share({**there, -1: 1}, {**times, -1: 1000}, limit)
    assert shares[-1] == 1


def test_nobody_waits_for_ever_beside_those_who_are_new() -> None:
    turns: Turns[str] = Turns()
    had = Counter[str]()
    for moment in range(100):
        had.update(turns.share({"old": 1000, "new": 1000}, {"old": 0, "new": moment}, 10))
    # The newest has its half; of the rest each gets the same.
    assert had["old"] >= 200


def test_who_was_quiet_has_no_claim_to_what_it_left() -> None:
    turns: Turns[str] = Turns()
    for _ in range(100):
        turns.share({"busy": 1000}, {"busy": 0}, 10)
    had = Counter[str]()
    for _ in range(10):
        had.update(turns.share({"busy": 1000, "late": 1000}, {"busy": 1, "late": 0}, 10))
    assert had["busy"] >= 50
