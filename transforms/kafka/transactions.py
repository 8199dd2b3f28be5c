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
import time
from collections.abc import Mapping, Sequence

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
from transforms.kafka.producers import close, flush, new_producer, send
from transforms.kafka.settings import KafkaSettings
from transforms.records import KafkaPosition

log = logging.getLogger("newsbeam.kafka")

#: The longest a transaction may take, in seconds: then the broker aborts it.
TRANSACTION_TIMEOUT = 60.0

Positions = dict[TopicPartition, int]


def transactional_id_of(group: str, shard: str) -> str:
    """The transactional id of the one who writes what comes of a shard.

    Shards are `topic[+topic]:k/n`: the group is all that stands before the last colon but one.
    """
    return f"newsbeam-{group}:{shard}"


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
                self._settings,
                transactional_id=transactional_id_of(self._group, self._shard),
                transaction_timeout_ms=int(TRANSACTION_TIMEOUT * 1000),
                # Between two transactions the broker writes the markers of the first.
                retry_backoff_ms=10,
                # From 2.5 on the client answers an error by asking for a new epoch, and a producer
                # that was fenced takes its successor's transaction down with it.
                api_version=(2, 4),
            )
            try:
                producer.init_transactions()
            except BaseException:
                close(producer, timeout=0)
                raise
            return producer

        former, self._producer = self._producer, None
        if former is not None:
            close(former, timeout=0)
        hint = " (brokers without transactions need --delivery at_least_once)"
        self._producer = persistently(begin, f"taking over shard {self._shard}", hint)

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
                began = time.monotonic()
                try:
                    self._attempt(records, offsets)
                    break
                except KafkaError as raised:
                    e = _cause(raised)
                    # The broker ends a transaction that takes too long as if it were fenced.
                    expired = time.monotonic() - began > TRANSACTION_TIMEOUT
                    if is_fencing(e) and not expired:
                        raise Fenced(
                            f"another instance has taken over shard {self._shard} of group "
                            f"{self._group!r} and goes on from what was committed here"
                        ) from e
                    failure = e
                if not heals(failure) and not expired and not _aborted(failure):
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
        # A commit may succeed without a record that failed: look at each one before.
        flush(producer)
        for future in futures:
            future.get()
        producer.send_offsets_to_transaction(
            {tp: OffsetAndMetadata(offset, "", -1) for tp, offset in offsets.items()}, self._group
        )
        producer.commit_transaction()

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

    def close(self) -> None:
        """Closes the producer."""
        with self._lock:
            if self._producer is not None:
                close(self._producer, timeout=0)
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


def _cause(error: KafkaError) -> KafkaError:
    """The error that made a producer fail, where this one only says that it has failed."""
    wrapped = [a for a in error.args if isinstance(a, KafkaError)]
    return wrapped[0] if wrapped else error


_fenced: set[tuple[KafkaSettings, str, frozenset[str]]] = set()
_transactions: dict[tuple[KafkaSettings, str, str], ShardTransactions] = {}
_registry_lock = threading.Lock()
_fencing_lock = threading.Lock()


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
    """Fences the producers of a group that read our topics in other shards: `…:0/4` when we read 8.

    Who changes the number of shards or adds a topic would otherwise not fence the instance before.
    Done once a process: afterwards it is for others to fence us.
    """
    key = (settings, group, frozenset(shards))
    # No shard may look for committed offsets while another thread still fences who could commit.
    with _fencing_lock:
        if key not in _fenced:
            _fence_other_layouts(settings, group, shards)
            _fenced.add(key)


def _topics_of(transactional_id: str, group: str) -> set[str]:
    """The topics of a shard's transactional id; none where it is another group's."""
    head, _, _ = transactional_id.rpartition(":")
    head, _, topics = head.rpartition(":")
    return set(topics.split("+")) if head == f"newsbeam-{group}" else set()


def _fence_other_layouts(settings: KafkaSettings, group: str, shards: Sequence[str]) -> None:
    ours = {transactional_id_of(group, shard) for shard in shards}
    topics = _topics_of(next(iter(ours)), group)

    def is_other(transactional_id: str) -> bool:
        return transactional_id not in ours and bool(_topics_of(transactional_id, group) & topics)

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
        return [i for i in ids if is_other(i)]

    def fence(transactional_id: str) -> None:
        producer = new_producer(settings, transactional_id=transactional_id)
        try:
            producer.init_transactions()
        finally:
            close(producer, timeout=0)

    for other in persistently(find, f"looking for other readers of group {group!r}"):
        log.info("fencing %s, which read group %r in other shards", other, group)
        persistently(lambda other=other: fence(other), f"fencing {other}")  # type: ignore[misc]
