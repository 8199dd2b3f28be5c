"""Fetches records of many partitions ahead of their readers, a little of each.

One consumer a process does it, in a thread of its own: whatever readers do meanwhile, each partition's
records are at hand when they come, and who waits for a record waits for one of any partition. A
partition with much waiting is paused when it has its share of what is kept here, and so never stands
in the way of the others.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from transforms.failures import PipelineFailure
from transforms.kafka.client import close_consumer
from transforms.kafka.faults import KafkaFailure, Patience, heals, persistently
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.words import said

#: What is kept at most, over all partitions: records, and bytes of keys, values and headers. As much
#: again may be on its way when a partition is paused.
MOST_RECORDS, MOST_BYTES = 8000, 16 * 1024 * 1024
#: The largest answer to a fetch, and of that what one partition gets, in bytes: many, or few. Kafka
#: gives a larger batch whole all the same, when its partition comes first.
FETCH_BYTES, PARTITION_BYTES = 2 * 1024 * 1024, (16 * 1024, 256 * 1024)
#: How long the client waits for records at once, in seconds: new positions wait for that.
POLL_WAIT = 0.5
#: How long the client sleeps where it has nothing to wait for, in milliseconds: as it has not before it
#: knows where its first partitions are led.
RETRY_WAIT = 30
#: How long to let records gather between two fetches, in seconds for each partition: a request for 1,000
#: takes client and broker 10 ms each, however few records come of it.
GATHER = 1e-4


class OffsetsGone(Exception):
    """What was to be read next is not in the log.

    Attributes:
        partitions: Of which partitions.
    """

    def __init__(self, partitions: Collection[TopicPartition]) -> None:
        super().__init__(partitions)
        self.partitions = partitions


class Waiting(NamedTuple):
    """Records that are at hand, by their partitions.

    Attributes:
        counts: How many; partitions that have none are left out.
        times: The time of the first, in milliseconds since the epoch; -1 for none.
    """

    counts: dict[TopicPartition, int]
    times: dict[TopicPartition, int]


class _Buffer:
    """The records of a partition that wait for its reader, and where the next fetch begins."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.records: deque[Any] = deque()
        self.bytes = 0

    def add(self, records: Iterable[Any]) -> None:
        self.records.extend(records)
        self.bytes += sum(map(_size, records))

    def take(self, count: int) -> list[Any]:
        taken = [self.records.popleft() for _ in range(count)]
        self.bytes -= sum(map(_size, taken))
        return taken

    def fill(self) -> float:
        """How much of all that may be kept is kept here: 0 to 1, or more."""
        return max(len(self.records) / MOST_RECORDS, self.bytes / MOST_BYTES)


def _size(record: Any) -> int:
    # -1 stands for none.
    return record.serialized_value_size + record.serialized_key_size + record.serialized_header_size


class Fetcher:
    """Keeps records of partitions at hand; for any number of threads.

    Args:
        connect: Makes a consumer that has no partitions yet.
    """

    def __init__(self, connect: Callable[[], KafkaConsumer]) -> None:
        self._connect = connect
        self._changed = threading.Condition()
        self._buffers: dict[TopicPartition, _Buffer] = {}
        self._seeks: dict[TopicPartition, int] = {}
        self._gone: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._failure: PipelineFailure | None = None
        self._closed = threading.Event()
        self._consumer: KafkaConsumer | None = None
        self._thread = threading.Thread(target=self._run, name="newsbeam-fetch", daemon=True)

    # ---- for readers ------------------------------------------------------------------------------

    def start(self) -> None:
        """Connects, in the background: for 0.1 s from then on the client asks for nothing more."""
        with self._changed:
            if not self._thread.ident:
                self._thread.start()

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Fetches partitions from the given offsets on; what is kept of them is dropped."""
        with self._changed:
            for tp, offset in positions.items():
                self._buffers[tp] = _Buffer(offset)
                self._seeks[tp] = offset
                self._gone.discard(tp)
            self._changed.notify_all()
        self.start()

    def wait(self, timeout: float) -> None:
        """Waits until there is a record of any partition, or until something is wrong."""

        def is_any() -> bool:
            return bool(self._gone or self._failure) or any(
                b.records for b in self._buffers.values()
            )

        with self._changed:
            self._changed.wait_for(is_any, timeout)

    def waiting(self, partitions: Collection[TopicPartition]) -> Waiting:
        """What is at hand of some partitions.

        Raises:
            OffsetsGone: Nothing more will come of some of them.
            PipelineFailure: Nothing more will come at all.
        """
        with self._changed:
            if self._failure is not None:
                raise self._failure
            if gone := self._gone.intersection(partitions):
                raise OffsetsGone(gone)
            kept = {tp: r for tp in partitions if (r := self._buffers[tp].records)}
            return Waiting(
                {tp: len(records) for tp, records in kept.items()},
                {tp: records[0].timestamp or -1 for tp, records in kept.items()},
            )

    def take(self, counts: Mapping[TopicPartition, int]) -> dict[TopicPartition, list[Any]]:
        """Takes so many records of each that are at hand, in order."""
        with self._changed:
            return {tp: self._buffers[tp].take(count) for tp, count in counts.items()}

    def positions(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The next offset to be taken of each: past what is no record, such as a transaction's end."""
        with self._changed:
            return {tp: _next(self._buffers[tp]) for tp in partitions}

    def close(self) -> None:
        """Fetches no more."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
            consumer = self._consumer
        if consumer is not None:
            # The thread may wait for records: that ends it.
            close_consumer(consumer)
            self._thread.join(POLL_WAIT)

    # ---- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            consumer = persistently(self._connect, "starting to read")
            with self._changed:
                self._consumer = consumer
            try:
                self._fetch_until_closed(consumer)
            finally:
                close_consumer(consumer)
        except Exception as e:
            if not self._closed.is_set():
                self._fail(
                    e if isinstance(e, PipelineFailure) else KafkaFailure(f"reading: {said(e)}")
                )

    def _fail(self, failure: PipelineFailure) -> None:
        with self._changed:
            self._failure = failure
            self._changed.notify_all()

    def _fetch_until_closed(self, consumer: KafkaConsumer) -> None:
        patience: Patience | None = None
        while not self._closed.is_set():
            self._direct(consumer)
            try:
                # All that was fetched: what kafka-python has begun to hand over of a partition is stuck
                # when that is paused.
                fetched = consumer.poll(timeout_ms=int(POLL_WAIT * 1000), max_records=sys.maxsize)
            except OffsetOutOfRangeError as e:
                self._lose(consumer, e.args[0])
            except LogTruncationError as e:
                self._lose(consumer, e.divergent_offsets)
            except (KafkaError, OSError) as e:
                if not heals(e):
                    raise
                patience = patience or Patience("reading", sleep=self._closed.wait)
                patience.wait(e)
            else:
                patience = None
                self._keep(consumer, fetched)
                if fetched:
                    self._closed.wait(GATHER * len(self._buffers))

    def _direct(self, consumer: KafkaConsumer) -> None:
        """Tells the consumer what to fetch, and from where; waits for a first partition."""
        with self._changed:
            self._changed.wait_for(lambda: self._buffers or self._closed.is_set())
            seeks, self._seeks = self._seeks, {}
            if not consumer.assignment() >= seeks.keys():
                consumer.assign(sorted(self._buffers))
                self._paused &= consumer.paused()
            for tp, offset in seeks.items():
                consumer.seek(tp, offset)
            fills = {tp: b.fill() for tp, b in self._buffers.items() if b.records}
            share = 1 / max(1, len(fills))
            # Half of a share lasts until the fetch that is under way without it has come back.
            full = {tp for tp, fill in fills.items() if fill >= share}
            full |= {tp for tp in self._paused if fills.get(tp, 0.0) > share / 2}
            full |= self._gone
        if resumed := self._paused - full:
            consumer.resume(*resumed)
        if paused := full - self._paused:
            consumer.pause(*paused)
        self._paused = full

    def _keep(self, consumer: KafkaConsumer, fetched: Mapping[TopicPartition, list[Any]]) -> None:
        with self._changed:
            for tp, buffer in self._buffers.items():
                if tp in self._seeks:
                    continue  # What came is of before.
                if records := fetched.get(tp):
                    buffer.add(records)
                # `position` itself would look at all partitions each time.
                if at := consumer._subscription.assignment[tp].position:
                    buffer.position = at.offset
            if fetched:
                self._changed.notify_all()

    def _lose(self, consumer: KafkaConsumer, lost: Collection[TopicPartition]) -> None:
        with self._changed:
            # Not those that were sought meanwhile.
            self._gone |= set(lost) - self._seeks.keys()
            self._changed.notify_all()


def _next(buffer: _Buffer) -> int:
    return buffer.records[0].offset if buffer.records else buffer.position


def connect(settings: KafkaSettings, isolation_level: str, partitions: int) -> KafkaConsumer:
    """A consumer for a `Fetcher`.

    Args:
        settings: How to reach the cluster.
        isolation_level: `read_committed` or `read_uncommitted`.
        partitions: About how many there will be.
    """
    least, most = PARTITION_BYTES
    share = max(least, min(most, FETCH_BYTES // max(1, partitions)))
    return settings.consumer(
        group_id=None,
        enable_auto_commit=False,
        # A position that is gone is an error, never a silent jump: that would be loss.
        auto_offset_reset="none",
        isolation_level=isolation_level,
        allow_auto_create_topics=False,
        # Where a partition that was added is led, is known within this time.
        metadata_max_age_ms=30_000,
        retry_backoff_ms=RETRY_WAIT,
        # An idle fetch is answered at once when a record comes; the wait only saves requests.
        fetch_max_wait_ms=500 + partitions // 2,
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=share,
    )
