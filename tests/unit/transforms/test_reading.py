"""Reading without end: a shard's tracker, and whole pipelines over a source in memory."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fakes import world, world_named
from tests.unit.running import local_pipeline
from transforms.reading import ReadUnbounded, ShardTracker, SharedWatermarks, drain
from transforms.records import KafkaPosition, Message
from transforms.shard_state import Restriction
from transforms.tally import TALLY

# ---- the tracker -----------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 100), max_size=10), st.integers(0, 10))
def test_a_split_hands_over_at_the_last_claim(positions: list[int], split_after: int) -> None:
    tracker = ShardTracker(Restriction())
    claimed = None
    for i, position in enumerate(positions):
        if i == split_after:
            break
        assert tracker.try_claim(Restriction(position))
        claimed = position
    split = tracker.try_split(0)
    assert split is not None
    primary, residual = split
    assert primary == Restriction(claimed, done=True)
    assert residual == Restriction(claimed)
    assert tracker.current_restriction() == primary
    # What comes after belongs to whoever has the residual: not one claim more, nor a second split.
    assert not tracker.try_claim(Restriction(1000))
    assert tracker.current_restriction() == primary
    assert tracker.try_split(0) is None
    assert tracker.check_done()
    assert ShardTracker(residual).try_claim(Restriction(1000))


@given(st.floats(0.001, 1))
def test_a_split_elsewhere_than_here_is_refused(fraction: float) -> None:
    tracker = ShardTracker(Restriction(5))
    assert tracker.try_split(fraction) is None
    assert tracker.try_claim(Restriction(6))


def test_an_end_ends_it() -> None:
    tracker = ShardTracker(Restriction(5))
    assert tracker.try_claim(Restriction(7, done=True))
    assert not tracker.try_claim(Restriction(8))
    assert tracker.try_split(0) is None
    assert tracker.check_done()
    assert tracker.current_restriction() == Restriction(7, done=True)


def test_a_shard_that_was_done_stays_done() -> None:
    tracker = ShardTracker(Restriction(7, done=True))
    assert not tracker.try_claim(Restriction(8))
    assert tracker.check_done()


def test_to_leave_without_a_checkpoint_is_an_error() -> None:
    tracker = ShardTracker(Restriction())
    assert tracker.try_claim(Restriction(3))
    with pytest.raises(ValueError, match="3"):
        tracker.check_done()


def test_an_endless_shard_is_unbounded_and_has_no_fraction() -> None:
    tracker = ShardTracker(Restriction())
    assert not tracker.is_bounded()
    assert tracker.current_progress() is None


# ---- watermarks of several shards, as Prism takes them -----------------------------------------------


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=60))
def test_whoever_reports_last_nothing_that_is_not_through_is_overtaken(
    shards: int, steps: list[tuple[int, int]]
) -> None:
    """Shard k has the records of times 1, 2, 3, …; a bundle begins, reads some, and ends later."""
    shared = SharedWatermarks()
    names = [str(k) for k in range(shards)]
    through = dict.fromkeys(names, 0)
    # What is under way: how far it has read, and what it will report.
    under_way: dict[str, tuple[int, Timestamp]] = {}
    reported = Timestamp(0)
    for number, count in steps:
        shard = names[number % shards]
        if shard in under_way:
            through[shard], watermark = under_way.pop(shard)
            # Prism: a watermark never goes back, but it is that of whoever was last.
            reported = max(reported, watermark)
            assert all(reported <= n + 1 for n in through.values())
        else:
            shared.resumed("reading", shard, through[shard] or None)
            read = through[shard] + count
            own = Timestamp(read + 1)
            lowest = shared.lowest("reading", names, shard, read or None, own)
            under_way[shard] = read, lowest
    # When all has come to rest, so do the watermarks.
    for _ in range(2):
        for shard in names:
            read, _ = under_way.pop(shard, (through[shard], None))
            through[shard] = read
            shared.resumed("reading", shard, read or None)
            lowest = shared.lowest("reading", names, shard, read or None, Timestamp(read + 1))
    assert lowest == min(through.values()) + 1


def test_a_shard_that_goes_on_elsewhere_than_where_it_ended_holds_all_of_them() -> None:
    shared = SharedWatermarks()
    for shard in "ab":
        shared.resumed("reading", shard, None)
        shared.lowest("reading", ["a", "b"], shard, 7, Timestamp(100))
    shared.resumed("reading", "a", 7)
    shared.resumed("reading", "b", 3)
    assert shared.lowest("reading", ["a", "b"], "a", 7, Timestamp(100)) < 0


# ---- whole pipelines -------------------------------------------------------------------------------


class _See(beam.DoFn):
    """A sink that notes what it saw when its bundle is complete, as a real one would."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def start_bundle(self) -> None:
        self._bundle: list[KafkaPosition] = []

    def process(self, element: Message) -> None:
        assert isinstance(element.source, KafkaPosition)
        self._bundle.append(element.source)

    def finish_bundle(self) -> None:
        for position in self._bundle:
            world_named(self._name).note("seen", position.topic, position.offset)


def _offset(message: Message) -> tuple[str, int]:
    assert isinstance(message.source, KafkaPosition)
    return message.source.topic, message.source.offset


COUNTS = {"a": 1200, "b": 7, "idle": 0, "c": 1}
ALL = [(shard, i) for shard, count in COUNTS.items() for i in range(count)]


def test_every_message_comes_out_once_and_the_end_ends_it() -> None:
    with world(COUNTS, ends=True) as w:
        with local_pipeline() as p:
            out = p | ReadUnbounded(w.source) | beam.Map(_offset)
            assert_that(out, equal_to(ALL))
        assert TALLY.snapshot().read == len(ALL)


def test_order_within_a_shard_is_kept() -> None:
    with world({"a": 3000}, ends=True) as w:
        with local_pipeline() as p:
            _ = p | ReadUnbounded(w.source) | beam.ParDo(_See(w.source.name))
        assert w.noted("seen") == [("a", i) for i in range(3000)]


def test_drain_ends_an_endless_source_with_nothing_half_done() -> None:
    with world(COUNTS, ends=False) as w:

        def drain_when_all_is_seen() -> None:
            if len(w.noted("seen")) == len(ALL):
                drain()

        w.on_empty = drain_when_all_is_seen
        with local_pipeline() as p:
            _ = p | ReadUnbounded(w.source) | beam.ParDo(_See(w.source.name))
        assert sorted(w.noted("seen")) == sorted(ALL)


def test_a_source_that_is_drained_from_the_start_gives_nothing() -> None:
    drain()
    with world({"a": 10}, ends=False) as w:
        with local_pipeline() as p:
            _ = p | ReadUnbounded(w.source) | beam.ParDo(_See(w.source.name))
        assert w.noted("seen") == []


def test_nothing_is_committed_before_the_sink_has_it() -> None:
    with world({"a": 2600, "b": 5}, ends=True) as w:
        with local_pipeline() as p:
            _ = p | ReadUnbounded(w.source) | beam.ParDo(_See(w.source.name))
        seen = {"a": 0, "b": 0}
        for what, shard, detail in w.log:
            if what == "seen":
                seen[shard] += 1
            else:
                assert (detail or 0) <= seen[shard], f"{shard} committed to {detail}"
        committed = w.noted("committed")
        assert ("a", 2600) in committed
        assert ("b", 5) in committed


class _FailOnce(beam.DoFn):
    """Fails the bundle that holds a certain message: nothing of it may be committed."""

    def process(self, element: Message) -> None:
        if element.value == b"3":
            raise OSError("the sink is gone")


def test_what_fails_is_not_committed() -> None:
    with world({"a": 5}, ends=True) as w:
        with pytest.raises(Exception, match="the sink is gone"), local_pipeline() as p:
            _ = p | ReadUnbounded(w.source) | beam.ParDo(_FailOnce())
        assert w.noted("committed") == []


class _Stamp(beam.DoFn):
    def process(self, element: Message, timestamp=beam.DoFn.TimestampParam):  # type: ignore
        yield timestamp.micros


def test_messages_carry_their_own_time() -> None:
    with world({"a": 2}, ends=True) as w, local_pipeline() as p:
        out = p | ReadUnbounded(w.source) | beam.ParDo(_Stamp())
        assert_that(out, equal_to([1_700_000_000_000_000] * 2))
