"""Exactly once from Kafka to Kafka: outputs, dead letters and source offsets in one transaction.

Each shard has a transactional producer. Whoever begins to read a shard first takes it over:
`init_transactions` fences the shard's former producer, wherever it runs, and completes or aborts what
it had begun. Only then are the committed offsets read, so nothing can be committed behind them by
somebody else. A bundle's records are sent, with the offsets after them, in one transaction; a reader
of committed records sees all of it or nothing.

Two things make it safe wherever the steps run. A bundle must continue exactly where the last commit
ended, or it is refused: then a graph that is not fused, or a bundle that is tried again beside its
twin, fails loudly instead of losing or doubling records. And a commit whose outcome is unknown is
resolved by taking the shard over again, unless somebody else has gone on meanwhile, and looking at the
committed offsets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping, Sequence

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from transforms.kafka.encode import Outgoing
from transforms.kafka.faults import (
    Fenced,
    Hole,
    KafkaFailure,
    OfNeighbour,
    Patience,
    is_fencing,
    is_refused,
    may_be_sent_again,
    persistently,
)
from transforms.kafka.offsets import RENEW_AFTER, OffsetsClient
from transforms.kafka.producers import (
    STEP_TIMEOUT,
    close,
    commit,
    new_producer,
    send_all,
    send_offsets,
    to_try_again,
)
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.shards import Positions
from transforms.kafka.subscription import Subscription
from transforms.kafka.topics import MissingTopics
from transforms.kafka.transactional_ids import (
    Epoch,
    epoch_held,
    epoch_of,
    fence_others,
    transactional_id_of,
)
from transforms.kafka.words import said
from transforms.records import KafkaPosition
from transforms.tally import TALLY

#: The longest a transaction may take, in seconds: then the broker aborts it.
TRANSACTION_TIMEOUT = 60.0


class ShardTransactions:
    """The transactions of one shard, in this process.

    Args:
        subscription: What is read, whose offsets are committed.
        shard: The name of the shard.
        offsets: Reads the group's committed offsets.
    """

    def __init__(self, subscription: Subscription, shard: str, offsets: OffsetsClient) -> None:
        self._settings = subscription.settings
        self._group = subscription.group
        self._shards = subscription.shards()
        self._run = subscription.run
        self._shard = shard
        self._id = transactional_id_of(self._group, shard)
        self._offsets = offsets
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._epoch: Epoch | None = None
        self._committed: Positions = {}
        self._committed_at: dict[TopicPartition, float] = {}

    def take_over(self) -> None:
        """Fences every former producer of this shard and settles its last transaction."""
        with self._lock:
            self._take_over()

    def _take_over(self) -> None:
        def begin() -> KafkaProducer:
            producer = new_producer(
                self._settings,
                transactional_id=self._id,
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
        self._epoch = epoch_held(self._producer)
        fence_others(self._settings, self._group, self._shards)

    def start_at(self, positions: Mapping[TopicPartition, int]) -> None:
        """Says where the next bundle has to begin."""
        with self._lock:
            self._note(positions)

    def _note(self, positions: Mapping[TopicPartition, int]) -> None:
        self._committed |= positions
        self._committed_at |= dict.fromkeys(positions, time.monotonic())

    def move_to(self, positions: Mapping[TopicPartition, int]) -> None:
        """Makes the group stand where this run begins, in its name.

        Otherwise what an earlier run has committed could be taken for a commit of ours; and who begins
        anew before our first commit would not find where this run began.
        """
        with self._lock:
            what = f"reading offsets of {self._shard}"
            stands = persistently(lambda: self._offsets.committed(positions, by=self._run), what)
            elsewhere = {tp: o for tp, o in positions.items() if stands.get(tp) != o}
            if elsewhere:
                self._write([], elsewhere)

    def renew(self) -> None:
        """Commits again where nothing has been for long, lest the brokers forget it."""
        with self._lock:
            before = time.monotonic() - RENEW_AFTER
            old = {tp: self._committed[tp] for tp, at in self._committed_at.items() if at < before}
            if old:
                self._write([], old)
                self._note(old)

    def commit(self, records: Sequence[Outgoing]) -> Sequence[Outgoing]:
        """Writes a bundle's records and the source offsets after them, all or nothing.

        Returns:
            The records as they were written: what a broker refused is its dead letter.

        Raises:
            Fenced: Another instance has taken the shard over.
            Hole: The records don't continue where the last commit ended.
            KafkaFailure: Kafka refuses.
        """
        with self._lock:
            offsets = self._offsets_after(records)
            written = self._write(records, offsets)
            self._note(offsets)
            return written

    def commit_up_to(self, offsets: Positions, records: Sequence[Outgoing]) -> None:
        """Writes records and the offsets after what they were made of, all or nothing.

        For a shard that is read and written by one thread, which answers for it that nothing is
        skipped: that not each record of the source has one is no hole here.

        Raises:
            Fenced: Another instance has taken the shard over.
            KafkaFailure: Kafka refuses.
        """
        with self._lock:
            self._write(records, offsets)
            self._note(offsets)

    def _write(self, records: Sequence[Outgoing], offsets: Positions) -> Sequence[Outgoing]:
        patience = Patience(f"committing shard {self._shard}")
        topics = {tp.topic for tp in offsets} | {record.topic.name for record in records}
        missing = MissingTopics(self._settings, topics)
        while True:
            began = time.monotonic()
            try:
                failed = self._attempt(records, offsets)
            except KafkaError as raised:
                failure = _cause(raised)
            else:
                if not failed:
                    break
                failure = min(map(_cause, failed.values()), key=_rank)
                records = [
                    self._again(record, failed[i]) if i in failed else record
                    for i, record in enumerate(records)
                ]
            if is_fencing(failure) and not _expired(began):
                raise self._fenced() from failure
            if not _expired(began) and _is_final(failure):
                raise KafkaFailure(f"committing shard {self._shard}: {said(failure)}") from failure
            if not (is_refused(failure) or isinstance(failure, OfNeighbour)):
                missing.look(failure)
                patience.wait(failure)
            # Who was cut off must not fence the one who has gone on since, or is about to.
            self._look_for_others(offsets)
            # Brokers that were away may have taken their time to tell.
            if self._is_held_by_another() and not _expired(began):
                raise self._fenced() from failure
            # Whether it was committed is not known: settle it, then look.
            self._take_over()
            if self._was_committed(offsets):
                break
        TALLY.committed(self._shard)
        return records

    def _fenced(self) -> Fenced:
        return Fenced(
            f"another instance has taken over shard {self._shard} of group "
            f"{self._group!r} and goes on from what was committed here"
        )

    def _is_held_by_another(self) -> bool:
        """Whether somebody has taken our transactional id over.

        What a fenced producer is told depends on how far its successor is: while what it had begun
        is aborted, brokers speak of the state of the transaction, not of fencing.
        """
        what = f"looking who has shard {self._shard}"
        now = persistently(lambda: epoch_of(self._settings, self._id), what)
        return now is not None and now != self._epoch

    @staticmethod
    def _again(record: Outgoing, error: KafkaError) -> Outgoing:
        # Not its cause: an error that another record has caused says nothing of this one.
        again = to_try_again(record, error)
        # Dead letters are of the transaction: they have a topic.
        assert isinstance(again, Outgoing)
        return again

    def _attempt(self, records: Sequence[Outgoing], offsets: Positions) -> Mapping[int, KafkaError]:
        """Commits, or gives back why records failed, by their places."""
        producer = self._producer
        assert producer is not None, "a shard is taken over before it is read"
        producer.begin_transaction()
        # A commit may succeed without a record that failed: look at each one before.
        failed = send_all(producer, records, STEP_TIMEOUT)
        if not failed:
            after = {tp: OffsetAndMetadata(offset, self._run, -1) for tp, offset in offsets.items()}
            send_offsets(producer, after, self._group)
            commit(producer)
        return failed

    def _offsets_after(self, records: Sequence[Outgoing]) -> Positions:
        """The offset after each partition's last record; checks that none is left out."""
        offsets: Positions = {}
        for tp, steps in _steps(records).items():
            at = self._committed.get(tp, min(steps))
            while at in steps:
                at = steps.pop(at) + 1
            if steps:
                raise Hole(
                    f"{tp.topic}-{tp.partition} was committed up to {at}, but the next record "
                    f"follows {min(steps)}: refusing to skip or repeat records (is the graph fused?)"
                )
            offsets[tp] = at
        return offsets

    def _was_committed(self, offsets: Positions) -> bool:
        what = f"reading offsets of {self._shard}"
        ours = persistently(lambda: self._offsets.committed(offsets, by=self._run), what)
        if ours == offsets:
            return True
        # That has waited until what was in a transaction is decided: now it is to be seen.
        self._look_for_others(offsets)
        return False

    def _look_for_others(self, offsets: Positions) -> None:
        """Looks whether somebody has gone on from our last commit, other than to these offsets.

        Raises:
            Fenced: Another instance has: of another run, or a worker that took our place.
        """
        what = f"reading offsets of {self._shard}"
        found = persistently(lambda: _committed_by(self._settings, self._group, offsets), what)
        for tp, (offset, run) in found.items():
            ours = run == self._run and offset == offsets[tp]
            if not ours and offset > self._committed.get(tp, offset):
                raise Fenced(
                    f"another instance has committed {tp.topic}-{tp.partition} up to {offset} for "
                    f"group {self._group!r} and goes on from there"
                )

    def close(self) -> None:
        """Closes the producer."""
        with self._lock:
            if self._producer is not None:
                close(self._producer, timeout=0)
                self._producer = None


def _steps(records: Sequence[Outgoing]) -> dict[TopicPartition, dict[int, int]]:
    """By partition: the offset of the source record that follows a position, by that position."""
    steps: dict[TopicPartition, dict[int, int]] = {}
    for record in records:
        assert record.message is not None
        source, follows = record.message.source, record.message.follows
        assert isinstance(source, KafkaPosition)
        assert follows is not None
        known = steps.setdefault(TopicPartition(source.topic, source.partition), {})
        if follows in known:
            raise Hole(f"the record at {source} came twice: refusing to repeat it")
        known[follows] = source.offset
    return steps


def _committed_by(
    settings: KafkaSettings, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, tuple[int, str]]:
    """The group's offsets and who committed them, also while a transaction of theirs is open.

    A consumer of committed records would wait for its end, which may be ours to bring about.
    """
    admin = settings.admin()
    try:
        found = admin.list_group_offsets({group: list(partitions)})[group]
    finally:
        admin.close()
    return {tp: (c.offset, c.metadata) for tp, c in found.items() if c.offset >= 0}


def _expired(began: float) -> bool:
    """Whether brokers may have ended a transaction by themselves, as if it were fenced."""
    return time.monotonic() - began > TRANSACTION_TIMEOUT


def _rank(error: KafkaError) -> int:
    """Of several errors, which says most: the lowest."""
    return 0 if is_fencing(error) else 1 if _is_final(error) else 2


def _is_final(error: KafkaError) -> bool:
    """Whether trying again is of no use."""
    return not (may_be_sent_again(error) or _aborted(error))


def _aborted(error: KafkaError) -> bool:
    """Whether only this transaction failed: what the client says of a failed producer."""
    # It has no other class for what brokers answer to offsets that it does not expect.
    plain = type(error) is KafkaError and "Authorization" not in str(error)
    return plain or type(error).__name__ in {
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
