"""The watermark of a subscription: what it says, and when it says nothing."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from transforms.pubsub.watermark import Watermark

#: An epoch time to begin at, in seconds.
NOW = 1_700_000_000.0


def value(
    w: Watermark, at: float, waiting: float | None = None, held: bool = False
) -> float | None:
    return w.value(at, NOW + at, waiting, held or waiting is not None)


def test_nothing_is_said_before_it_was_listened_for_a_while() -> None:
    w = Watermark(2.0, 60.0)
    assert value(w, 0) is None
    w.listening(0)
    w.came(1, NOW - 36_000)
    assert value(w, 59) is None
    assert value(w, 60) == NOW - 36_000


def test_it_is_the_least_of_a_while_and_of_what_waits() -> None:
    w = Watermark(2.0, 60.0)
    w.listening(0)
    w.came(1, NOW - 300)
    w.came(30, NOW - 200)
    w.came(31, NOW - 100)
    assert value(w, 60) == NOW - 300
    assert value(w, 80) == NOW - 200
    assert value(w, 80, waiting=NOW - 250) == NOW - 250


def test_an_idle_subscription_moves_on_when_all_is_acknowledged() -> None:
    w = Watermark(2.0, 60.0)
    w.listening(0)
    w.came(1, NOW - 300)
    assert value(w, 100, held=True) is None
    assert value(w, 100) == NOW + 98


def test_it_is_never_ahead_of_the_clock() -> None:
    w = Watermark(2.0, 60.0)
    w.listening(0)
    w.came(59, NOW + 5000)
    assert value(w, 60) == NOW + 58


def test_after_an_outage_nothing_is_said_for_a_while() -> None:
    w = Watermark(2.0, 60.0)
    w.listening(0)
    assert value(w, 61) == NOW + 59
    w.listening(70)  # tried again
    assert value(w, 100) is None
    assert w.quiet(100) == 30
    w.deaf()
    assert value(w, 500) is None
    assert w.quiet(500) == 0


def test_how_long_it_was_quiet() -> None:
    w = Watermark(2.0, 60.0)
    w.listening(10)
    assert w.quiet(15) == 5
    w.came(20, NOW)
    assert w.quiet(21) == 1


@given(st.integers(0, 2**32), st.integers(10, 400))
def test_a_backlog_without_order_is_not_overtaken_within_a_sample(seed: int, count: int) -> None:
    """All of it comes within the sample: whatever comes later is no older than what was said."""
    draw = random.Random(seed)
    times = [NOW - draw.uniform(0, 36_000) for _ in range(count)]
    w = Watermark(2.0, 60.0)
    w.listening(0)
    said = -1e18
    for n, time in enumerate(times):
        at = 59.0 * n / count
        assert time >= said
        w.came(at, time)
        said = max(said, value(w, at) or said)
    # And when it is over, it moves on.
    assert value(w, 60) == min(times)
    assert value(w, 200) == NOW + 198
