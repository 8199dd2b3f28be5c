"""Until when all that has arrived was read: from looks, and what was read since."""

from __future__ import annotations

from kafka import TopicPartition

from transforms.kafka.arrivals import PART, Arrivals, Look

A, B = TopicPartition("news", 0), TopicPartition("news", 1)


def until(arrivals: Arrivals, **positions: int) -> float | None:
    named = {A: positions.get("a", -1), B: positions.get("b", -1)}
    return arrivals.until(named.__getitem__)


def test_nothing_is_known_before_a_look_was_read_up_to() -> None:
    arrivals = Arrivals()
    assert until(arrivals) is None
    arrivals.look(Look(100.0, {A: 5, B: 0}))
    assert until(arrivals, a=4, b=0) is None
    assert until(arrivals, a=5, b=0) == 100.0


def test_what_is_empty_or_idle_holds_nothing_up() -> None:
    arrivals = Arrivals()
    for asked in (100.0, 101.0, 102.0):
        arrivals.look(Look(asked, {A: 0, B: 7}))
        assert until(arrivals, a=0, b=7) == asked


def test_the_partition_that_is_furthest_behind_counts() -> None:
    arrivals = Arrivals()
    for i in range(5):
        arrivals.look(Look(100.0 + i, {A: 10 * i, B: 10 * i}))
    assert until(arrivals, a=40, b=0) == 100.0
    assert until(arrivals, a=40, b=29) == 102.0
    assert until(arrivals, a=45, b=40) == 104.0


def test_where_no_leader_answered_nothing_new_is_known() -> None:
    arrivals = Arrivals()
    arrivals.look(Look(100.0, {A: 0, B: 0}))
    arrivals.look(Look(101.0, {A: 0, B: None}))
    assert until(arrivals, a=0, b=0) == 100.0
    arrivals.look(Look(102.0, {A: 0, B: 3}))
    assert until(arrivals, a=0, b=0) == 100.0
    assert until(arrivals, a=0, b=3) == 102.0


def test_a_partition_that_a_look_leaves_out_still_counts() -> None:
    arrivals = Arrivals()
    arrivals.look(Look(100.0, {A: 0, B: 3}))
    arrivals.look(Look(101.0, {A: 0}))
    assert until(arrivals, a=0, b=2) is None


def test_a_new_partition_holds_it_where_it_was() -> None:
    arrivals = Arrivals()
    arrivals.look(Look(100.0, {A: 1}))
    assert until(arrivals, a=1) == 100.0
    arrivals.look(Look(101.0, {A: 1, B: 2}))
    # Nothing is known of it: whoever has reported 100 stays there.
    assert until(arrivals, a=1, b=0) is None
    assert until(arrivals, a=1, b=2) == 101.0


def test_of_a_log_that_was_cut_no_more_is_waited_for_than_is_left() -> None:
    arrivals = Arrivals()
    arrivals.look(Look(100.0, {A: 50}))
    arrivals.look(Look(101.0, {A: 80}))
    arrivals.look(Look(102.0, {A: 20}))
    assert until(arrivals, a=19) is None
    assert until(arrivals, a=20) == 102.0


def test_a_time_of_appending_tells_as_well() -> None:
    arrivals = Arrivals()
    arrivals.look(Look(100.0, {A: 50, B: 1}))
    arrivals.read(A, 42.0)
    assert until(arrivals, a=3, b=0) is None
    assert until(arrivals, a=3, b=1) == 42.0
    arrivals.read(A, 41.0)
    assert until(arrivals, a=4, b=1) == 42.0


def test_no_time_of_appending_is_later_than_the_last_look() -> None:
    arrivals = Arrivals()
    arrivals.look(Look(100.0, {A: 50}))
    arrivals.read(A, 200.0)
    # There may be a partition by now that the look could not see.
    assert until(arrivals, a=3) == 100.0


def test_who_stays_far_behind_remembers_looks_far_apart() -> None:
    arrivals = Arrivals()
    behind = 14_400  # an hour of looks
    for i in range(3 * behind):
        arrivals.look(Look(float(i), {A: i}))
        found = until(arrivals, a=i - behind)
        if i > behind:
            # It never claims more, and not much less.
            assert found is not None
            assert i - behind - PART * behind * 1.1 - 1 <= found <= i - behind
    assert len(arrivals._partitions[A].pending) < 200
    assert until(arrivals, a=3 * behind) == 3 * behind - 1
