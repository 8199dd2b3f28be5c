"""The fetcher: records of many partitions at hand, none in the way of another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.errors import (
    KafkaConnectionError,
    LogTruncationError,
    TopicAuthorizationFailedError,
)

from tests.servers.processes import wait_until
from tests.unit.transforms.kafka.fakes import TOPIC, Cluster, FakeConsumer, Record
from transforms.kafka import fetcher as module
from transforms.kafka.faults import KafkaFailure
from transforms.kafka.fetcher import Fetcher, OffsetsGone

A, B = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)


def cluster_of(*counts: int) -> Cluster:
    cluster = Cluster(len(counts))
    for tp, count in zip(cluster.logs, counts, strict=True):
        for _ in range(count):
            cluster.append(tp)
    return cluster


class Fetching:
    """A fetcher of a cluster, and its consumer."""

    def __init__(self, cluster: Cluster, **keywords: Any) -> None:
        self.consumer = FakeConsumer(cluster, **keywords)
        connect: Callable[[], Any] = lambda: self.consumer  # noqa: E731
        self.fetcher = Fetcher(connect)

    def take(self, tp: TopicPartition, count: int) -> list[Record]:
        """Takes so many records of a partition, waiting for them."""
        found: list[Record] = []
        while len(found) < count:
            self.fetcher.wait(60)
            there = self.fetcher.waiting([tp]).counts.get(tp, 0)
            found += self.fetcher.take({tp: min(there, count - len(found))})[tp]
        return found


@pytest.fixture
def fetching() -> Iterator[Callable[..., Fetching]]:
    made: list[Fetching] = []

    def make(cluster: Cluster, **keywords: Any) -> Fetching:
        made.append(Fetching(cluster, **keywords))
        return made[-1]

    yield make
    for each in made:
        each.fetcher.close()


def offsets(records: list[Record]) -> list[int]:
    return [record.offset for record in records]


def test_each_partition_has_its_own_in_order(fetching: Callable[..., Fetching]) -> None:
    f = fetching(cluster_of(30, 7))
    f.fetcher.seek({A: 0})
    f.fetcher.seek({B: 2})
    assert offsets(f.take(A, 30)) == list(range(30))
    assert offsets(f.take(B, 5)) == list(range(2, 7))


def test_a_seek_drops_what_was_kept(fetching: Callable[..., Fetching]) -> None:
    f = fetching(cluster_of(30))
    f.fetcher.seek({A: 0})
    f.take(A, 3)
    for offset in (10, 0, 25):
        f.fetcher.seek({A: offset})
        assert f.fetcher.waiting([A]).counts == {}
        assert f.fetcher.positions([A]) == {A: offset}
        assert offsets(f.take(A, 1)) == [offset]


def test_a_busy_partition_is_paused_when_it_has_its_share_and_a_quiet_one_is_not(
    fetching: Callable[..., Fetching], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_RECORDS", 50)
    cluster = cluster_of(10_000, 0)
    f = fetching(cluster)
    f.fetcher.seek({A: 0, B: 0})
    wait_until(lambda: A in f.consumer.paused(), "the busy one to be paused")
    assert f.fetcher.waiting([A]).counts[A] <= 50 + 2 * 5
    cluster.append(B)
    assert offsets(f.take(B, 1)) == [0]
    assert A in f.consumer.paused()
    # It goes on when half of that is gone.
    assert offsets(f.take(A, 10_000)) == list(range(10_000))


def test_partitions_share_what_is_kept(
    fetching: Callable[..., Fetching], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_RECORDS", 100)
    cluster = cluster_of(*[1000] * 20)
    f = fetching(cluster)
    f.fetcher.seek(dict.fromkeys(cluster.logs, 0))
    wait_until(lambda: f.consumer.paused() == cluster.logs.keys(), "all to be paused")
    counts = f.fetcher.waiting(list(cluster.logs)).counts
    assert set(counts) == cluster.logs.keys()
    assert max(counts.values()) <= 100 // 20 + 2 * 5


def test_large_records_count_for_more(
    fetching: Callable[..., Fetching], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    cluster = Cluster(1)
    for _ in range(100):
        cluster.append(A, serialized_value_size=300)
    f = fetching(cluster, largest=1)
    f.fetcher.seek({A: 0})
    wait_until(lambda: A in f.consumer.paused(), "it to be paused")
    assert f.fetcher.waiting([A]).counts[A] <= 5
    assert len(f.take(A, 100)) == 100


def test_who_waits_is_told_of_a_record_of_any_partition(fetching: Callable[..., Fetching]) -> None:
    cluster = cluster_of(0, 0)
    f = fetching(cluster)
    f.fetcher.seek({A: 0, B: 0})
    f.fetcher.wait(0.01)
    assert f.fetcher.waiting([A, B]).counts == {}
    cluster.append(B)
    f.fetcher.wait(60)
    assert f.fetcher.waiting([A, B]).counts == {B: 1}


def test_a_position_is_past_what_is_no_record(fetching: Callable[..., Fetching]) -> None:
    cluster = cluster_of(2)
    cluster.mark(A)
    f = fetching(cluster)
    f.fetcher.seek({A: 0})
    assert len(f.take(A, 2)) == 2
    wait_until(lambda: f.fetcher.positions([A]) == {A: 3}, "the mark to be passed")


def test_records_that_are_gone_are_the_fault_of_their_partition_alone(
    fetching: Callable[..., Fetching],
) -> None:
    cluster = cluster_of(5, 5)
    cluster.delete_before(A, 3)
    f = fetching(cluster)
    f.fetcher.seek({A: 0, B: 0})
    assert len(f.take(B, 5)) == 5

    def is_gone() -> bool:
        try:
            f.fetcher.waiting([A, B])
        except OffsetsGone as e:
            return set(e.partitions) == {A}
        return False

    wait_until(is_gone, "it to be noticed")
    assert f.fetcher.waiting([B]).counts == {}
    f.fetcher.seek({A: 3})
    assert offsets(f.take(A, 2)) == [3, 4]


def test_a_log_that_was_cut_is_such_a_fault(fetching: Callable[..., Fetching]) -> None:
    f = fetching(cluster_of(5))
    f.consumer.errors.append(LogTruncationError({A: 3}))
    f.fetcher.seek({A: 5})

    def is_gone() -> bool:
        try:
            return bool(f.fetcher.waiting([A])) and False
        except OffsetsGone:
            return True

    wait_until(is_gone, "it to be noticed")


def test_what_heals_is_waited_out(fetching: Callable[..., Fetching]) -> None:
    f = fetching(cluster_of(5))
    f.consumer.errors += [KafkaConnectionError("gone"), KafkaConnectionError("gone")]
    f.fetcher.seek({A: 0})
    assert len(f.take(A, 5)) == 5


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TopicAuthorizationFailedError({TOPIC}), "not authorized for topic"),
        (ValueError("odd"), "odd"),
    ],
)
def test_what_does_not_heal_is_told_to_whoever_reads(
    fetching: Callable[..., Fetching], error: Exception, said: str
) -> None:
    f = fetching(cluster_of(5))
    f.consumer.errors.append(error)
    f.fetcher.seek({A: 0})
    f.fetcher.wait(60)
    for _ in range(2):
        with pytest.raises(KafkaFailure, match=said):
            f.fetcher.waiting([A])
    assert f.consumer.closed.wait(60)


def test_closing_closes_the_consumer(fetching: Callable[..., Fetching]) -> None:
    f = fetching(cluster_of(1))
    f.fetcher.seek({A: 0})
    f.take(A, 1)
    f.fetcher.close()
    assert f.consumer.closed.wait(60)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 20), st.booleans()), max_size=30),
    st.integers(5, 60),
)
def test_whatever_is_taken_and_sought_nothing_is_left_out_or_comes_twice(
    counts: list[int], steps: list[tuple[int, int, bool]], kept: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_RECORDS", kept)
        cluster = cluster_of(*counts)
        f = Fetching(cluster)
        partitions = list(cluster.logs)
        f.fetcher.seek(dict.fromkeys(partitions, 0))
        stands = dict.fromkeys(partitions, 0)
        try:
            for number, count, back in steps:
                tp = partitions[number % len(partitions)]
                if back:
                    stands[tp] = max(0, stands[tp] - count)
                    f.fetcher.seek({tp: stands[tp]})
                wanted = min(count, cluster.ends[tp] - stands[tp])
                if wanted:
                    taken = offsets(f.take(tp, wanted))
                    assert taken == list(range(stands[tp], stands[tp] + wanted))
                    stands[tp] += wanted
        finally:
            f.fetcher.close()


def test_it_connects_before_there_is_something_to_fetch() -> None:
    connected = threading.Event()
    consumer = FakeConsumer(Cluster())

    def connect() -> Any:
        connected.set()
        return consumer

    fetcher = Fetcher(connect)
    fetcher.start()
    try:
        assert connected.wait(60)
    finally:
        fetcher.close()
