"""The pace: how much a shard may take, by what messages cost and what other shards need."""

from __future__ import annotations

import pytest

from transforms.pace import GONE, LEAST, LONG_TURN, MOST, TURN, UNKNOWN, Pace


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


def work(pace: Pace, clock: Clock, messages: int, seconds: float) -> None:
    began = clock()
    clock.seconds += seconds
    pace.worked(messages, began)


def test_what_nobody_has_measured_is_taken_as_ever(pace: Pace) -> None:
    assert pace.limit("a") == UNKNOWN
    pace.turn("b", UNKNOWN, UNKNOWN, live=True)
    assert pace.limit("a") == UNKNOWN


def test_a_turn_is_as_long_as_it_may_be(pace: Pace, clock: Clock) -> None:
    work(pace, clock, 100, 0.1)
    pace.turn("a", 200, 200, live=True)
    assert pace.limit("a") == pytest.approx(TURN / 0.001, rel=0.01)


def test_where_all_is_late_turns_are_longer(pace: Pace, clock: Clock) -> None:
    work(pace, clock, 100, 0.1)
    pace.turn("a", 200, 200, live=False)
    assert pace.limit("a") == pytest.approx(LONG_TURN / 0.001, rel=0.01)
    pace.turn("b", 0, 200, live=True)
    assert pace.limit("a") == pytest.approx(TURN / 0.001, rel=0.01)


def test_it_follows_what_messages_cost_now(pace: Pace, clock: Clock) -> None:
    work(pace, clock, 100, 0.1)
    for _ in range(30):
        work(pace, clock, 10, 0.1)
    pace.turn("a", 1, 1, live=True)
    assert pace.limit("a") == pytest.approx(TURN / 0.01, rel=0.05)


def test_what_threads_do_at_once_counts_once(pace: Pace, clock: Clock) -> None:
    for _ in range(30):
        began = clock()
        clock.seconds += 0.1
        pace.worked(100, began)
        pace.worked(100, began)
    pace.turn("a", 1, 1, live=True)
    assert pace.limit("a") == pytest.approx(TURN / 0.0005, rel=0.15)


def test_shards_share_a_turn(pace: Pace, clock: Clock) -> None:
    work(pace, clock, 100, 0.1)
    for shard in "abcd":
        pace.turn(shard, 200, 200, live=True)
    for shard in "abcd":
        assert pace.limit(shard) == pytest.approx(TURN / 0.001 / 4, abs=1)


def test_what_others_have_no_use_for_is_left_to_those_who_have(pace: Pace, clock: Clock) -> None:
    work(pace, clock, 100, 0.1)
    for shard, taken in (("a", 50), ("b", 50), ("c", 2), ("d", 0)):
        pace.turn(shard, taken, 50, live=True)
    assert pace.limit("a") == pytest.approx((TURN / 0.001 - 2) / 2, abs=1)


def test_shards_that_are_gone_take_no_part(pace: Pace, clock: Clock) -> None:
    work(pace, clock, 100, 0.1)
    pace.turn("b", 200, 200, live=True)
    clock.seconds += GONE
    pace.turn("a", 200, 200, live=False)
    assert pace.limit("a") == pytest.approx(LONG_TURN / 0.001, rel=0.01)


@pytest.mark.parametrize(("seconds", "limit"), [(1000.0, LEAST), (1e-9, MOST)])
def test_it_has_bounds(pace: Pace, clock: Clock, seconds: float, limit: int) -> None:
    work(pace, clock, 1, seconds)
    assert pace.limit("a") == limit
