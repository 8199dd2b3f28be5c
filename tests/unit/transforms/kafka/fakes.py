"""A Kafka cluster in memory, and stand-ins for those who talk to it: each does what it is told, when."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

from kafka import TopicPartition
from kafka.errors import OffsetOutOfRangeError

from transforms.kafka.arrivals import Look
from transforms.kafka.fetcher import OffsetsGone, Waiting
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.subscription import Subscription

TOPIC = "news"


class Record(NamedTuple):
    """What our readers use of a record of kafka-python, and when it was appended, in seconds."""

    partition: int
    offset: int
    timestamp: int
    appended: float
    timestamp_type: int = 0
    topic: str = TOPIC
    value: bytes = b"{}"
    key: bytes | None = None
    headers: tuple[()] = ()
    serialized_value_size: int = 2
    serialized_key_size: int = -1
    serialized_header_size: int = -1


class Cluster:
    """One topic; its clock stands still but for `at`."""

    def __init__(self, partitions: int = 1) -> None:
        self.now = 1_000_000.0
        self.logs: dict[TopicPartition, list[Record]] = {}
        self.begins: dict[TopicPartition, int] = {}
        self.ends: dict[TopicPartition, int] = {}
        self.away: set[TopicPartition] = set()
        self.committed: dict[TopicPartition, int] = {}
        for _ in range(partitions):
            self.add_partition()

    def add_partition(self) -> TopicPartition:
        tp = TopicPartition(TOPIC, len(self.logs))
        self.logs[tp], self.begins[tp], self.ends[tp] = [], 0, 0
        return tp

    def append(self, tp: TopicPartition, late: float = 0.0, **fields: Any) -> Record:
        """Appends a record whose time was so many seconds ago."""
        timestamp = int((self.now - late) * 1000)
        record = Record(tp.partition, self.ends[tp], timestamp, self.now, **fields)
        self.logs[tp].append(record)
        self.ends[tp] += 1
        return record

    def mark(self, tp: TopicPartition) -> None:
        """Appends what is no record: the end of a transaction."""
        self.ends[tp] += 1

    def delete_before(self, tp: TopicPartition, offset: int) -> None:
        """Does what retention does."""
        self.begins[tp] = max(self.begins[tp], offset)
        self.logs[tp] = [r for r in self.logs[tp] if r.offset >= offset]

    def look(self) -> Look:
        ends = {tp: None if tp in self.away else end for tp, end in self.ends.items()}
        return Look(self.now, ends)


class FakeOffsets:
    """Stands for an `OffsetsClient`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def beginning(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: self._cluster.begins[tp] for tp in partitions}

    def committed(
        self, partitions: Iterable[TopicPartition], by: str | None = None
    ) -> dict[TopicPartition, int]:
        return {
            tp: self._cluster.committed[tp] for tp in partitions if tp in self._cluster.committed
        }

    def commit(self, offsets: Mapping[TopicPartition, int], run: str = "") -> None:
        self._cluster.committed |= offsets


class FakeFetcher:
    """Stands for a `Fetcher` whose fetches a test makes."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._positions: dict[TopicPartition, int] = {}
        self._kept: dict[TopicPartition, deque[Record]] = defaultdict(deque)
        self._gone: set[TopicPartition] = set()

    def fetch(self, tp: TopicPartition, count: int) -> None:
        """Fetches some records of a partition, if it is read."""
        if tp not in self._positions:
            return
        at = self._positions[tp]
        if at < self._cluster.begins[tp]:
            self._gone.add(tp)
            return
        fetched = [r for r in self._cluster.logs[tp] if r.offset >= at][:count]
        self._kept[tp].extend(fetched)
        if fetched:
            self._positions[tp] = fetched[-1].offset + 1
        if not [r for r in self._cluster.logs[tp] if r.offset >= self._positions[tp]]:
            # Nothing but ends of transactions: a fetch passes over them.
            self._positions[tp] = self._cluster.ends[tp]

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        for tp, offset in positions.items():
            self._positions[tp] = offset
            self._kept[tp].clear()
            self._gone.discard(tp)

    def wait(self, timeout: float) -> None:
        pass

    def waiting(self, partitions: Collection[TopicPartition]) -> Waiting:
        if gone := self._gone.intersection(partitions):
            raise OffsetsGone(gone)
        kept = {tp: self._kept[tp] for tp in partitions if self._kept[tp]}
        return Waiting(
            {tp: len(records) for tp, records in kept.items()},
            {tp: records[0].timestamp for tp, records in kept.items()},
        )

    def take(self, counts: Mapping[TopicPartition, int]) -> dict[TopicPartition, list[Record]]:
        return {tp: [self._kept[tp].popleft() for _ in range(n)] for tp, n in counts.items()}

    def positions(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return {
            tp: self._kept[tp][0].offset if self._kept[tp] else self._positions[tp]
            for tp in partitions
        }


class FakeEnds:
    """Stands for an `EndsWatch` that looks when a test says so."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[TopicPartition, int] = {}
        self.look()

    def latest(self) -> Look:
        return self._look

    def known(self) -> dict[TopicPartition, int]:
        return self._known

    def look(self) -> None:
        self._look = self._cluster.look()
        self._known |= {tp: end for tp, end in self._look.ends.items() if end is not None}


def subscription(**settings: Any) -> Subscription:
    """What readers of the cluster are told."""
    return Subscription(
        **{
            "settings": KafkaSettings("h:1", {}),
            "topics": (TOPIC,),
            "group": "g",
            "start": "committed",
            "shard_count": 1,
            "isolation_level": "read_committed",
            "on_offset_out_of_range": "fail",
            "max_delay": 2.0,
            "trust_timestamps": False,
            "run": "run",
            **settings,
        }
    )


class FakeConsumer:
    """Stands for a `KafkaConsumer` of the cluster: the part that a `Fetcher` uses."""

    def __init__(self, cluster: Cluster, largest: int = 5) -> None:
        self._cluster = cluster
        self._largest = largest
        self._paused: set[TopicPartition] = set()
        self._subscription = SimpleNamespace(assignment={})
        self.errors: deque[Exception] = deque()
        self.closed = threading.Event()

    def assignment(self) -> set[TopicPartition]:
        return set(self._subscription.assignment)

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        before = self._subscription.assignment
        self._subscription.assignment = {
            tp: before.get(tp) or SimpleNamespace(position=None) for tp in partitions
        }

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._subscription.assignment[tp].position = SimpleNamespace(offset=offset)

    def paused(self) -> set[TopicPartition]:
        return set(self._paused)

    def pause(self, *partitions: TopicPartition) -> None:
        self._paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self._paused -= set(partitions)

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Record]]:
        if self.errors:
            raise self.errors.popleft()
        found: dict[TopicPartition, list[Record]] = {}
        for tp, state in self._subscription.assignment.items():
            if tp in self._paused:
                continue
            at = state.position.offset
            if at < self._cluster.begins[tp]:
                raise OffsetOutOfRangeError({tp: at})
            records = [r for r in self._cluster.logs[tp] if r.offset >= at][: self._largest]
            if records:
                found[tp] = records
                self.seek(tp, records[-1].offset + 1)
            else:
                self.seek(tp, self._cluster.ends[tp])
        if not found:
            time.sleep(0.001)  # as a broker keeps an empty fetch, for a while
        return found

    def close(self) -> None:
        self.closed.set()
