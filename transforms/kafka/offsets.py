"""Offsets that the brokers know: where partitions begin and end, and where a group stands in them."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from kafka import TopicPartition
from kafka.errors import (
    AuthorizationError,
    KafkaError,
    LeaderNotAvailableError,
    UnknownBrokerIdError,
    for_code,
)
from kafka.protocol.consumer import IsolationLevel, ListOffsetsRequest, OffsetSpec
from kafka.protocol.metadata import MetadataRequest
from kafka.structs import OffsetAndMetadata

from transforms.kafka.arrivals import Look
from transforms.kafka.client import close_consumer
from transforms.kafka.settings import KafkaSettings

#: How old a committed offset may get, in seconds, until it is committed again. Brokers forget what a
#: group has committed some time after that: 7 days, unless `offsets.retention.minutes` says less.
RENEW_AFTER = 3600.0
#: How long brokers may take to say what a group has committed, in seconds.
OFFSETS_TIMEOUT = 30.0
#: Who asks as this replica is told where the log itself ends: who asks as a client, where the part ends
#: that all replicas have, which stands still for as long as one of them is away.
_DEBUGGING_REPLICA = -2
_CLIENT = -1

#: The leader of a partition, and in which epoch.
_Leader = tuple[int, int]


class OffsetsClient:
    """Asks brokers for offsets, and commits those of a group; for any number of threads.

    Args:
        settings: How to reach the cluster.
        group: The consumer group. It has no members: shards own partitions, whichever process they
            run in.
        isolation_level: `read_committed` or `read_uncommitted`.
    """

    def __init__(self, settings: KafkaSettings, group: str, isolation_level: str) -> None:
        self._lock = threading.Lock()
        self._isolation = IsolationLevel.build_from(isolation_level)
        self._consumer = settings.consumer(
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level=isolation_level,
            allow_auto_create_topics=False,
        )
        # What asks is a coroutine, which the client's own thread runs.
        self._manager = self._consumer._client._manager

    # ---- of partitions ----------------------------------------------------------------------------

    def look(self, topics: Collection[str]) -> Look:
        """Where all partitions of topics end now.

        Raises:
            KafkaError: A topic is not known, or may not be described.
        """
        asked = time.time()
        leaders = self._manager.run(self._leaders, topics)
        wanted = dict.fromkeys(leaders, OffsetSpec.LATEST)
        found = self._manager.run(self._list, wanted, leaders, _DEBUGGING_REPLICA)
        for answer in found.values():
            if isinstance(answer, AuthorizationError):
                raise answer
        return Look(asked, {tp: n if isinstance(n, int) else None for tp, n in found.items()})

    def beginning(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset of each partition.

        Raises:
            KafkaError: A partition's leader does not answer.
        """
        return self._offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))

    def at_time(self, partitions: Iterable[TopicPartition], ms: int) -> dict[TopicPartition, int]:
        """The first offset of each partition at or after a time; its end where there is none.

        Raises:
            KafkaError: A partition's leader does not answer.
        """
        found = self._offsets(dict.fromkeys(partitions, ms))
        later = [tp for tp, offset in found.items() if offset < 0]
        return found | self._offsets(dict.fromkeys(later, OffsetSpec.LATEST))

    def _offsets(self, wanted: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        if not wanted:
            return {}
        leaders = self._manager.run(self._leaders, {tp.topic for tp in wanted})
        found: dict[TopicPartition, int] = {}
        answers = self._manager.run(self._list, wanted, leaders, _CLIENT)
        for tp, answer in answers.items():
            if not isinstance(answer, int):
                raise answer
            found[tp] = answer
        return found

    async def _leaders(self, topics: Collection[str]) -> dict[TopicPartition, _Leader]:
        """The leader of each partition of topics; node -1 where there is none."""
        names = [MetadataRequest.MetadataRequestTopic(name=topic) for topic in sorted(topics)]
        request = MetadataRequest(topics=names, allow_auto_topic_creation=False)
        response = await self._manager.send(request)
        found: dict[TopicPartition, _Leader] = {}
        for topic in response.topics:
            if topic.error_code:
                raise for_code(topic.error_code)(topic.name)
            for partition in topic.partitions:
                tp = TopicPartition(topic.name, partition.partition_index)
                epoch = partition.leader_epoch
                found[tp] = partition.leader_id, -1 if epoch is None else epoch
        return found

    async def _list(
        self,
        wanted: Mapping[TopicPartition, int],
        leaders: Mapping[TopicPartition, _Leader],
        replica: int,
    ) -> dict[TopicPartition, int | KafkaError]:
        """Asks the leaders for an offset of each partition: the offset, or why there is none."""
        found: dict[TopicPartition, int | KafkaError] = dict.fromkeys(
            wanted, LeaderNotAvailableError()
        )
        by_leader: dict[int, dict[TopicPartition, _Leader]] = {}
        for tp in wanted:
            node, epoch = leaders.get(tp, (-1, -1))
            if node >= 0:
                by_leader.setdefault(node, {})[tp] = (wanted[tp], epoch)
        asked = []
        for node, theirs in by_leader.items():
            try:
                request = _list_offsets(theirs, replica, self._isolation)
                asked.append((theirs, self._manager.send(request, node_id=node)))
            except UnknownBrokerIdError:
                self._manager.cluster.request_update()
        for theirs, future in asked:
            try:
                response = await future
            except KafkaError as e:
                found |= dict.fromkeys(theirs, e)
                continue
            for topic in response.topics:
                for partition in topic.partitions:
                    tp = TopicPartition(topic.name, partition.partition_index)
                    error = (
                        for_code(partition.error_code)(str(tp)) if partition.error_code else None
                    )
                    found[tp] = partition.offset if error is None else error
        return found

    # ---- of the group -----------------------------------------------------------------------------

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
            timeout: How long to wait, in seconds; an open transaction can make it long.

        Raises:
            KafkaTimeoutError: There was no answer: the client itself would wait for ever.
        """
        # The client's own `committed` asks for one partition at a time.
        fetch = self._consumer._coordinator.fetch_committed_offsets
        with self._lock:
            found: dict[TopicPartition, Any] = fetch(list(partitions), int(timeout * 1000))
        return {
            tp: c.offset for tp, c in found.items() if c.offset >= 0 and by in {None, c.metadata}
        }

    def commit(self, offsets: Mapping[TopicPartition, int], run: str = "") -> None:
        """Commits offsets of the group, for a run."""
        with self._lock:
            self._consumer.commit(
                {tp: OffsetAndMetadata(offset, run, -1) for tp, offset in offsets.items()}
            )

    def close(self) -> None:
        """Closes the client; who waits for an answer gets an error."""
        close_consumer(self._consumer)


def _list_offsets(
    wanted: Mapping[TopicPartition, tuple[int, int]], replica: int, isolation: IsolationLevel
) -> ListOffsetsRequest:
    """Asks one leader for offsets.

    Args:
        wanted: Which, and in which epoch it leads.
        replica: Who asks.
        isolation: Whether records of open transactions count.
    """
    topics: dict[str, list[Any]] = {}
    for tp, (timestamp, epoch) in wanted.items():
        topics.setdefault(tp.topic, []).append(
            ListOffsetsRequest.ListOffsetsTopic.ListOffsetsPartition(
                partition_index=tp.partition, current_leader_epoch=epoch, timestamp=timestamp
            )
        )
    return ListOffsetsRequest(
        replica_id=replica,
        isolation_level=isolation,
        topics=[
            ListOffsetsRequest.ListOffsetsTopic(name=name, partitions=partitions)
            for name, partitions in topics.items()
        ],
        min_version=ListOffsetsRequest.min_version_for_isolation_level(isolation),
    )
