"""One shard's reader, over a cluster in memory: what it hands out, when, and what it says of time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.errors import CommitFailedError

from tests.unit.transforms.kafka.fakes import (
    TOPIC,
    Cluster,
    FakeEnds,
    FakeFetcher,
    FakeOffsets,
    subscription,
)
from transforms.kafka.faults import LostOffsets
from transforms.kafka.shard_reader import ShardReader
from transforms.kafka.shards import Offsets, from_offsets
from transforms.reading import Batch
from transforms.records import KafkaPosition, Message
from transforms.tally import TALLY

MAX_DELAY = 2.0


class World:
    """A cluster, a reader of all of it, and what it has read since it last began anew."""

    def __init__(self, partitions: int, **asked: Any) -> None:
        self.cluster = Cluster(partitions)
        self.fetcher = FakeFetcher(self.cluster)
        self.ends = FakeEnds(self.cluster)
        self._subscription = subscription(max_delay=MAX_DELAY, **asked)
        self.positions: list[Offsets | None] = [None]

    def begin(self, position: Offsets | None = None) -> None:
        """Begins to read as a new process does, a while later."""
        self.cluster.now += 1
        self.ends.look()
        offsets: Any = FakeOffsets(self.cluster)
        fetcher: Any = self.fetcher
        ends: Any = self.ends
        shard = self._subscription.shards()[0]
        self.reader = ShardReader(self._subscription, shard, offsets, fetcher, ends, None)
        self.resume(position)

    def resume(self, position: Offsets | None) -> None:
        self.reader.resume(position)

    def poll(self, limit: int = 100) -> Batch:
        batch = self.reader.poll(0.0, limit)
        self.positions.append(batch.position)
        return batch

    def read_all(self) -> list[Message]:
        """Fetches and polls until nothing more comes."""
        found: list[Message] = list(self.poll().messages)
        while True:
            for tp in self.cluster.logs:
                self.fetcher.fetch(tp, 10)
            batch = self.poll()
            if not batch.messages:
                return found
            found += batch.messages

    @property
    def partitions(self) -> list[TopicPartition]:
        return list(self.cluster.logs)

    def unread(self, position: Offsets) -> Iterator[float]:
        """When the records were appended that come after a position."""
        stands = from_offsets(position)
        for tp, log in self.cluster.logs.items():
            yield from (r.appended for r in log if r.offset >= stands.get(tp, 0))


# ---- time, whatever happens in whatever order --------------------------------------------------------

actions = st.one_of(
    st.tuples(st.just("wait"), st.floats(0.1, 50.0)),
    # Times from two hours ago to an hour ahead: late ones, and those of clocks that are wrong.
    st.tuples(st.just("append"), st.integers(0, 5), st.floats(-3600, 7200), st.integers(1, 4)),
    st.tuples(st.just("mark"), st.integers(0, 5)),
    st.tuples(st.just("fetch"), st.integers(0, 5), st.integers(1, 6)),
    st.tuples(st.just("look")),
    st.tuples(st.just("poll"), st.integers(1, 8)),
    st.tuples(st.just("add partition")),
    st.tuples(st.just("leader away"), st.integers(0, 5)),
    st.tuples(st.just("leader back"), st.integers(0, 5)),
    st.tuples(st.just("resume"), st.integers(0, 100)),
    st.tuples(st.just("restart"), st.integers(0, 100)),
    st.tuples(st.just("commit")),
)


@settings(max_examples=1000)
@given(st.integers(1, 3), st.booleans(), st.lists(actions, max_size=60))
def test_no_watermark_overtakes_what_has_not_been_read(
    partitions: int, broker_time: bool, what_happens: list[tuple[Any, ...]]
) -> None:
    world = World(partitions)
    world.begin()
    cluster = world.cluster
    promised = float("-inf")
    read: dict[str, int] = {}
    for what, *details in what_happens:
        named = details and isinstance(details[0], int)
        tp = world.partitions[details[0] % len(world.partitions)] if named else None
        match what:
            case "wait":
                cluster.now += details[0]
            case "append":
                assert tp is not None
                late = 0.0 if broker_time else details[1]
                for _ in range(details[2]):
                    cluster.append(tp, late, timestamp_type=int(broker_time))
            case "mark":
                assert tp is not None
                cluster.mark(tp)
            case "fetch":
                assert tp is not None
                world.fetcher.fetch(tp, details[1])
            case "look":
                world.ends.look()
            case "add partition":
                cluster.add_partition()
            case "leader away":
                assert tp is not None
                cluster.away.add(tp)
            case "leader back":
                assert tp is not None
                cluster.away.discard(tp)
            case "commit":
                cluster.committed |= from_offsets(world.positions[-1] or {})
            case "resume" | "restart":
                # From a checkpoint of any age: what was promised by then is the runner's to keep.
                again = world.positions[details[0] % len(world.positions)]
                (world.resume if what == "resume" else world.begin)(again)
                promised, read = float("-inf"), {}
            case "poll":
                batch = world.poll(details[0])
                for message in batch.messages:
                    at = message.source
                    assert isinstance(at, KafkaPosition)
                    place = f"{at.topic}:{at.partition}"
                    assert at.offset >= read.get(place, 0), "out of order"
                    read[place] = at.offset + 1
                _assert_backlog(world, batch)
                if batch.watermark is not None:
                    promised = max(promised, batch.watermark)
                # What has been appended and not read may be late by that much, and no more. What was
                # promised before holds as well, new partitions or not.
                waiting = min(world.unread(batch.position), default=cluster.now)
                assert promised <= waiting - MAX_DELAY
    # In the end everything is read, and then nothing holds time up.
    cluster.away.clear()
    world.ends.look()
    world.read_all()
    cluster.now += 1
    world.ends.look()
    batch = world.poll()
    assert batch.watermark == cluster.now - MAX_DELAY
    assert batch.live
    assert batch.backlog is not None
    assert batch.backlog.messages == 0


def _assert_backlog(world: World, batch: Batch) -> None:
    """The ends that are known less the positions, of all partitions, read or not."""
    assert batch.backlog is not None
    positions = world.fetcher.positions(from_offsets(batch.position))
    waiting = [world.ends.known().get(tp, 0) - at for tp, at in positions.items()]
    assert batch.backlog.messages == sum(n for n in waiting if n > 0)
    assert batch.live == any(n <= 0 for n in waiting)


# ---- where it begins, and what it makes of gaps ------------------------------------------------------


def offsets(messages: list[Message]) -> list[tuple[int, int]]:
    found = []
    for message in messages:
        assert isinstance(message.source, KafkaPosition)
        found.append((message.source.partition, message.source.offset))
    return found


def test_before_anything_is_read_nothing_is_said_of_time() -> None:
    world = World(2)
    world.cluster.append(TopicPartition(TOPIC, 0))
    world.begin()
    # The first poll brings nothing: the fetch has not come back.
    batch = world.poll()
    assert (batch.messages, batch.watermark) == ([], None)
    assert batch.backlog is not None
    assert batch.backlog.messages == 1


def test_a_backlog_holds_time_until_it_is_read_in_whatever_order() -> None:
    world = World(2)
    tp = TopicPartition(TOPIC, 0)
    for i in range(20):
        world.cluster.append(tp, late=i * 1800)  # each older than the one before
    world.begin()
    for _ in range(10):
        world.fetcher.fetch(tp, 2)
        batch = world.poll()
        assert batch.watermark is None or batch.backlog == (0, None)
    assert batch.watermark == world.cluster.now - MAX_DELAY


def test_times_ahead_of_the_clock_do_not_move_it() -> None:
    world = World(1)
    tp = TopicPartition(TOPIC, 0)
    world.cluster.append(tp, late=-7 * 86_400)
    world.begin()
    world.read_all()
    assert world.poll().watermark == world.cluster.now - MAX_DELAY


def test_topics_that_carry_the_brokers_time_move_it_as_they_are_read() -> None:
    world = World(1)
    tp = TopicPartition(TOPIC, 0)
    appended = []
    for _ in range(10):
        world.cluster.now += 600
        appended.append(world.cluster.append(tp, timestamp_type=1).appended)
    world.begin()
    for i in range(9):
        world.fetcher.fetch(tp, 1)
        assert world.poll().watermark == appended[i] - MAX_DELAY


def test_times_that_are_promised_to_be_right_move_it_as_well() -> None:
    world = World(1, trust_timestamps=True)
    tp = TopicPartition(TOPIC, 0)
    for _ in range(2):
        world.cluster.now += 600
        first = world.cluster.append(tp).appended - 600
    world.begin()
    world.fetcher.fetch(tp, 1)
    # It may have been ahead by as much as it may have been late.
    assert world.poll().watermark == first - 2 * MAX_DELAY


def test_it_says_how_old_the_last_record_is_that_it_read() -> None:
    world = World(2)
    for tp in world.partitions:
        for i in range(3):
            world.cluster.append(tp, late=100 * (3 - i) + tp.partition)
    oldest = world.cluster.now - 301
    world.begin()
    for tp in world.partitions:
        world.fetcher.fetch(tp, 1)
    backlog = world.poll().backlog
    assert backlog is not None
    assert backlog == (4, oldest)


def test_new_partitions_are_read_from_their_beginning() -> None:
    world = World(1)
    world.begin()
    tp = world.cluster.add_partition()
    for _ in range(3):
        world.cluster.append(tp)
    assert world.poll().messages == []
    world.ends.look()
    assert offsets(world.read_all()) == [(1, 0), (1, 1), (1, 2)]


def test_that_offsets_are_not_committed_is_said_once_a_minute_and_in_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: FakeOffsets, *args: Any) -> None:
        raise CommitFailedError

    monkeypatch.setattr("transforms.kafka.shard_reader._said_at", -1e9)
    world = World(1)
    world.begin()
    commits = []
    for _ in range(3):
        world.cluster.append(TopicPartition(TOPIC, 0))
        world.fetcher.fetch(TopicPartition(TOPIC, 0), 1)
        commits.append(world.reader.commit(world.poll().position))
    with monkeypatch.context() as patched:
        patched.setattr(FakeOffsets, "commit", refuse)
        for commit in commits[:2]:
            assert commit is not None
            commit()
    [line] = caplog.messages
    assert "no offsets of group 'g' are committed" in line
    assert "members that subscribe" in line
    assert "no offsets of group 'g'" in (TALLY.snapshot().uncommitted or "")
    assert commits[2] is not None
    commits[2]()
    assert TALLY.snapshot().uncommitted is None


def test_a_topic_that_was_made_again_is_told_by_where_it_ends() -> None:
    world, tp = World(1), TopicPartition(TOPIC, 0)
    for _ in range(3):
        world.cluster.append(tp)
    world.begin()
    world.read_all()
    world.cluster.ends[tp] = 1
    world.cluster.begins[tp] = 9  # What stands for an offset that is not there.
    world.ends.look()
    world.fetcher.fetch(tp, 1)
    with pytest.raises(LostOffsets, match=f"{TOPIC}-0 at 3, but it ends at 1 now.*made again"):
        world.poll()


def test_what_the_group_has_committed_is_not_read_again() -> None:
    world = World(2)
    for tp in world.partitions:
        for _ in range(3):
            world.cluster.append(tp)
    world.cluster.committed[TopicPartition(TOPIC, 0)] = 2
    world.begin()
    assert offsets(world.read_all()) == [(0, 2), (1, 0), (1, 1), (1, 2)]


def test_records_that_are_gone_end_it() -> None:
    world = World(1)
    tp = TopicPartition(TOPIC, 0)
    for _ in range(5):
        world.cluster.append(tp)
    world.begin()
    world.cluster.delete_before(tp, 3)
    world.fetcher.fetch(tp, 10)
    with pytest.raises(LostOffsets, match="news-0 at 0"):
        world.poll()


def test_it_goes_on_after_a_gap_if_it_may_and_knows_of_it() -> None:
    world = World(1, on_offset_out_of_range="earliest")
    tp = TopicPartition(TOPIC, 0)
    for _ in range(5):
        world.cluster.append(tp)
    world.begin()
    world.cluster.delete_before(tp, 3)
    world.fetcher.fetch(tp, 10)
    assert world.poll().messages == []
    found = world.read_all()
    assert offsets(found) == [(0, 3), (0, 4)]
    assert [m.follows for m in found] == [0, 4]


def test_it_ends_where_it_was_told_to_ends_of_transactions_or_not() -> None:
    tp = TopicPartition(TOPIC, 0)
    world = World(1, end={tp: 4})
    for _ in range(3):
        world.cluster.append(tp)
    world.cluster.mark(tp)
    world.begin()
    assert not world.reader.at_end()
    assert len(world.read_all()) == 3
    assert world.reader.at_end()
