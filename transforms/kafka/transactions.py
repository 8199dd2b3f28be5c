"""Exactly once from Kafka to Kafka: outputs, dead letters and source offsets in one transaction.

Each shard has a transactional producer. Whoever begins to read a shard first takes it over:
`init_transactions` fences the shard's former producer, wherever it runs, and completes or aborts what
it had begun. Only then are the committed offsets read, so nothing can be committed behind them by
somebody else. A bundle's records are sent, with the offsets after them, in one transaction; a reader
of committed records sees all of it or nothing.

Two things make it safe wherever the steps run. A bundle must continue exactly where the last commit
ended, or it is refused: then a graph that is not fused, or a bundle that is tried again beside its
twin, fails loudly instead of losing or doubling records. And a commit whose outcome is unknown is
resolved by taking the shard over again and looking at the committed offsets.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka.errors import IncompatibleBrokerVersion, KafkaError
from kafka.structs import OffsetAndMetadata

from transforms.kafka.consumers import SharedConsumer
from transforms.kafka.encode import Outgoing
from transforms.kafka.faults import (
    Fenced,
    Hole,
    KafkaFailure,
    Patience,
    heals,
    is_fencing,
    persistently,
)
from transforms.kafka.producers import new_producer, send
from transforms.kafka.settings import KafkaSettings
from transforms.records import KafkaPosition

log = logging.getLogger("newsbeam.kafka")

Positions = dict[TopicPartition, int]


def id_prefix(group: str) -> str:
    """What the transactional ids of a group begin with."""
    return f"newsbeam-{group}-"


class ShardTransactions:
    """The transactions of one shard, in this process.

    Args:
        settings: How to reach the cluster.
        group: The consumer group whose offsets are committed.
        shard: The name of the shard.
        consumer: Reads the group's committed offsets.
    """

    def __init__(
        self, settings: KafkaSettings, group: str, shard: str, consumer: SharedConsumer
    ) -> None:
        self._settings = settings
        self._group = group
        self._shard = shard
        self._consumer = consumer
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._committed: Positions = {}

    def take_over(self) -> None:
        """Fences every former producer of this shard and settles its last transaction."""
        with self._lock:
            self._take_over()

    def _take_over(self) -> None:
        def begin() -> KafkaProducer:
            producer = new_producer(
                self._settings, transactional_id=id_prefix(self._group) + self._shard
            )
            try:
                producer.init_transactions()
            except BaseException:
                _close(producer)
                raise
            return producer

        former, self._producer = self._producer, None
        if former is not None:
            _close(former)
        self._producer = persistently(begin, f"taking over shard {self._shard}")

    def start_at(self, positions: Mapping[TopicPartition, int]) -> None:
        """Says where the next bundle has to begin."""
        with self._lock:
            self._committed |= positions

    def commit(self, records: Sequence[Outgoing]) -> None:
        """Writes a bundle's records and the source offsets after them, all or nothing.

        Raises:
            Fenced: Another instance has taken the shard over.
            Hole: The records don't continue where the last commit ended.
            KafkaFailure: Kafka refuses.
        """
        with self._lock:
            offsets = self._offsets_after(records)
            patience = Patience(f"committing shard {self._shard}")
            while True:
                try:
                    self._attempt(records, offsets)
                    break
                except KafkaError as e:
                    if is_fencing(e):
                        raise Fenced(
                            f"another instance has taken over shard {self._shard} of group "
                            f"{self._group!r} and goes on from what was committed here"
                        ) from e
                    failure = e
                if not heals(failure) and not _aborted(failure):
                    self._abandon()
                    raise KafkaFailure(f"committing shard {self._shard}: {failure}") from failure
                patience.wait(failure)
                # Whether it was committed is not known: settle it, then look.
                self._take_over()
                if self._was_committed(offsets):
                    break
            self._committed |= offsets

    def _attempt(self, records: Sequence[Outgoing], offsets: Positions) -> None:
        producer = self._producer
        assert producer is not None, "a shard is taken over before it is read"
        producer.begin_transaction()
        futures = [send(producer, record) for record in records]
        producer.send_offsets_to_transaction(
            {tp: OffsetAndMetadata(offset, "", -1) for tp, offset in offsets.items()}, self._group
        )
        producer.commit_transaction()
        for future in futures:
            future.get()

    def _offsets_after(self, records: Sequence[Outgoing]) -> Positions:
        """The offset after each partition's last record; checks that none is left out."""
        offsets: Positions = {}
        for tp, steps in _steps(records).items():
            at = self._committed.get(tp)
            for follows, offset in sorted(steps):
                if at is not None and follows != at:
                    raise Hole(
                        f"{tp.topic}-{tp.partition} was committed up to {at}, but the next record "
                        f"follows {follows}: refusing to skip or repeat records (is the graph fused?)"
                    )
                at = offset + 1
            assert at is not None
            offsets[tp] = at
        return offsets

    def _was_committed(self, offsets: Positions) -> bool:
        found = persistently(
            lambda: self._consumer.committed(offsets), f"reading offsets of {self._shard}"
        )
        if all(found.get(tp) == offset for tp, offset in offsets.items()):
            return True
        for tp, offset in found.items():
            if offset > self._committed.get(tp, offset):
                raise Fenced(
                    f"another instance has committed {tp.topic}-{tp.partition} up to {offset} for "
                    f"group {self._group!r} and goes on from there"
                )
        return False

    def _abandon(self) -> None:
        try:
            assert self._producer is not None
            self._producer.abort_transaction()
        except KafkaError as e:
            log.debug("abort: %s", e)

    def close(self) -> None:
        """Closes the producer."""
        with self._lock:
            if self._producer is not None:
                _close(self._producer)
                self._producer = None


def _steps(records: Sequence[Outgoing]) -> dict[TopicPartition, list[tuple[int, int]]]:
    """By partition: what each source record follows, and its offset."""
    steps: dict[TopicPartition, list[tuple[int, int]]] = {}
    for record in records:
        assert record.message is not None
        source = record.message.source
        assert isinstance(source, KafkaPosition)
        assert record.message.follows is not None
        tp = TopicPartition(source.topic, source.partition)
        steps.setdefault(tp, []).append((record.message.follows, source.offset))
    return steps


def _aborted(error: KafkaError) -> bool:
    """Whether only this transaction failed: what the client says of a failed producer."""
    return type(error).__name__ in {
        "KafkaError",
        "TransactionAbortedError",
        "TransactionAbortableError",
        "UnknownProducerIdError",
        "OutOfOrderSequenceNumberError",
        "InvalidTxnStateError",
        "IllegalStateError",
        "InvalidProducerIdMappingError",
    }


def _close(producer: Any) -> None:
    """Closes a producer without waiting for what it can't deliver."""
    producer.close(timeout=0)


_fenced: set[tuple[KafkaSettings, str, frozenset[str]]] = set()
_transactions: dict[tuple[KafkaSettings, str, str], ShardTransactions] = {}
_registry_lock = threading.Lock()


def shard_transactions(
    settings: KafkaSettings, group: str, shard: str, consumer: SharedConsumer
) -> ShardTransactions:
    """The transactions of a shard in this process."""
    key = (settings, group, shard)
    with _registry_lock:
        if key not in _transactions:
            _transactions[key] = ShardTransactions(settings, group, shard, consumer)
        return _transactions[key]


def close_transactions() -> None:
    """Closes all transactional producers of this process."""
    with _registry_lock:
        for transactions in _transactions.values():
            transactions.close()
        _transactions.clear()
        _fenced.clear()


def fence_other_layouts(settings: KafkaSettings, group: str, shards: Sequence[str]) -> None:
    """Fences the producers of a group that read other shards, such as `…:0/4` when we read 8.

    Who changes the number of shards or the topics would otherwise not fence the instance before.
    Done once a process: afterwards it is for others to fence us.
    """
    ours = {id_prefix(group) + shard for shard in shards}
    key = (settings, group, frozenset(ours))
    with _registry_lock:
        if key in _fenced:
            return
        _fenced.add(key)

    def find() -> list[str]:
        admin = settings.admin()
        try:
            listed = admin.list_transactions()
        except IncompatibleBrokerVersion:
            log.debug("these brokers can't list transactions: change shards only after a drain")
            return []
        finally:
            admin.close()
        ids = [t.transactional_id for listings in listed.values() for t in listings]
        return [i for i in ids if i.startswith(id_prefix(group)) and i not in ours]

    def fence(transactional_id: str) -> None:
        producer = new_producer(settings, transactional_id=transactional_id)
        try:
            producer.init_transactions()
        finally:
            _close(producer)

    for other in persistently(find, f"looking for other readers of group {group!r}"):
        log.info("fencing %s, which read group %r in other shards", other, group)
        persistently(lambda other=other: fence(other), f"fencing {other}")  # type: ignore[misc]
