"""One Kafka consumer per process and cluster, shared by all shards that are read there.

A new consumer costs 100 ms and more and an empty first poll, and runners make and drop readers as
they like; so the consumer outlives them. Sharing it lets an idle shard wait for a record of *any*
shard: it then ends its bundle at once, and never holds up a busy one.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from transforms.kafka.settings import KafkaSettings

log = logging.getLogger("newsbeam.kafka")

#: A partition with this many records waiting is not fetched until a shard has taken some.
MAX_BUFFERED = 5000

#: How old a committed offset may get, in seconds, until it is committed again. Brokers forget what a
#: group has committed some time after that: 7 days, unless `offsets.retention.minutes` says less.
RENEW_AFTER = 3600.0
#: How long brokers may take to say what a group has committed, in seconds.
OFFSETS_TIMEOUT = 30.0


class SharedConsumer:
    """A thread-safe consumer with a buffer per partition.

    Args:
        settings: How to reach the cluster.
        group: The consumer group whose offsets are read and committed. Partitions are assigned by
            hand: shards own them, whichever process they run in, so the group has no members.
        isolation_level: `read_committed` or `read_uncommitted`.
    """

    def __init__(self, settings: KafkaSettings, group: str, isolation_level: str) -> None:
        self._lock = threading.RLock()
        self._buffers: dict[TopicPartition, deque] = {}
        self._paused: set[TopicPartition] = set()
        self._consumer: KafkaConsumer = settings.consumer(
            group_id=group,
            enable_auto_commit=False,
            # A position that is gone is an error, never a silent jump: that would be loss.
            auto_offset_reset="none",
            isolation_level=isolation_level,
            allow_auto_create_topics=False,
            # New partitions are seen within this time.
            metadata_max_age_ms=30_000,
            # An idle fetch is answered at once when a record comes; the wait only saves requests.
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )

    def partitions(self, topics: Iterable[str]) -> list[TopicPartition]:
        """All partitions of topics, as far as the client knows by now."""
        with self._lock:
            return [
                TopicPartition(topic, p)
                for topic in topics
                for p in sorted(self._consumer.partitions_for_topic(topic) or ())
            ]

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Takes partitions over at the given offsets; what was buffered of them is dropped."""
        with self._lock:
            assigned = self._consumer.assignment()
            if not assigned >= positions.keys():
                self._consumer.assign(sorted(assigned | positions.keys()))
            for tp, offset in positions.items():
                self._buffers[tp] = deque()
                self._resume(tp)
                self._consumer.seek(tp, offset)

    def committed(
        self,
        partitions: Iterable[TopicPartition],
        by: str | None = None,
        timeout: float = OFFSETS_TIMEOUT,
    ) -> dict[TopicPartition, int]:
        """The group's committed offsets; partitions without one are left out.

        Args:
            partitions: Of these.
            by: Only what this run has committed.
            timeout: How long to wait for each, in seconds; an open transaction can make it long.

        Raises:
            KafkaTimeoutError: There was no answer: the client itself would wait for ever.
        """
        ms = int(timeout * 1000)
        with self._lock:
            found = {
                tp: self._consumer.committed(tp, metadata=True, timeout_ms=ms) for tp in partitions
            }
        return {
            tp: c.offset
            for tp, c in found.items()
            if c is not None and c.offset >= 0 and by in {None, c.metadata}
        }

    def beginning(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset of each partition."""
        with self._lock:
            return self._consumer.beginning_offsets(list(partitions))

    def at_time(self, partitions: Iterable[TopicPartition], ms: int) -> dict[TopicPartition, int]:
        """The first offset of each partition at or after a time; its end where there is none."""
        wanted = list(partitions)
        with self._lock:
            found = self._consumer.offsets_for_times(dict.fromkeys(wanted, ms))
            end = self._consumer.end_offsets(wanted)
        return {tp: end[tp] if found.get(tp) is None else found[tp].offset for tp in wanted}

    def take(
        self, partitions: Iterable[TopicPartition], timeout: float, limit: int
    ) -> dict[TopicPartition, list]:
        """Takes buffered records of some partitions, fetching if there are none.

        Returns as soon as a record of any partition has come, even where it is none of these.

        Args:
            partitions: Whose records to take.
            timeout: How long to wait for a first record, in seconds.
            limit: The most records to return.
        """
        wanted = list(partitions)
        if not any(self._buffers[tp] for tp in wanted):
            with self._lock:
                if any(self._buffers.values()):
                    timeout = 0.0
                self._fetch(timeout, limit)
        taken: dict[TopicPartition, list] = {}
        with self._lock:
            for tp in wanted:
                buffer = self._buffers[tp]
                if buffer and limit > 0:
                    n = min(limit, len(buffer))
                    taken[tp] = [buffer.popleft() for _ in range(n)]
                    limit -= n
                    if tp in self._paused and len(buffer) < MAX_BUFFERED // 2:
                        self._resume(tp)
        return taken

    def _fetch(self, timeout: float, limit: int) -> None:
        fetched = self._consumer.poll(timeout_ms=int(timeout * 1000), max_records=limit)
        for tp, records in fetched.items():
            buffer = self._buffers[tp]
            buffer.extend(records)
            if len(buffer) > MAX_BUFFERED:
                self._consumer.pause(tp)
                self._paused.add(tp)

    def _resume(self, tp: TopicPartition) -> None:
        if tp in self._paused:
            self._paused.discard(tp)
            self._consumer.resume(tp)

    def position(self, tp: TopicPartition) -> int | None:
        """The next offset to be taken: past transaction markers, where nothing is buffered."""
        with self._lock:
            buffer = self._buffers[tp]
            return buffer[0].offset if buffer else self._consumer.position(tp, timeout_ms=0)

    def backlog(self, tp: TopicPartition, position: int) -> int | None:
        """How many records wait behind a position, as of the last fetch."""
        with self._lock:
            high = self._consumer.highwater(tp)
        return None if high is None else max(0, high - position)

    def commit(self, offsets: Mapping[TopicPartition, int], run: str = "") -> None:
        """Commits offsets of the group, for a run."""
        with self._lock:
            self._consumer.commit(
                {tp: OffsetAndMetadata(offset, run, -1) for tp, offset in offsets.items()}
            )

    def close(self) -> None:
        """Closes the client."""
        with self._lock:
            try:
                self._consumer.close()
            except KafkaError as e:
                log.debug("closing a consumer: %s", e)


_consumers: dict[tuple[object, ...], SharedConsumer] = {}
_consumers_lock = threading.Lock()


def shared_consumer(settings: KafkaSettings, group: str, isolation_level: str) -> SharedConsumer:
    """The consumer of this process for a cluster and group."""
    key = (settings, group, isolation_level)
    with _consumers_lock:
        if key not in _consumers:
            _consumers[key] = SharedConsumer(settings, group, isolation_level)
        return _consumers[key]


def close_consumers() -> None:
    """Closes all consumers of this process: their next use makes new ones."""
    with _consumers_lock:
        for consumer in _consumers.values():
            consumer.close()
        _consumers.clear()
