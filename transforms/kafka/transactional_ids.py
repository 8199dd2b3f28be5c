"""Transactional ids: one a shard, and fencing those who read the same topics in other shards.

Who changes the number of shards or adds a topic would otherwise not fence the instance before: ids name
the shard, and those of `…:0/4` and `…:0/8` differ.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import (
    AuthorizationError,
    IncompatibleBrokerVersion,
    TransactionalIdNotFoundError,
    UnsupportedVersionError,
)

from transforms.kafka.faults import persistently
from transforms.kafka.producers import close, new_producer
from transforms.kafka.settings import KafkaSettings

log = logging.getLogger("newsbeam.kafka")

#: A producer's id and epoch: who takes a transactional id over gets another epoch.
Epoch = tuple[int, int]

#: What we fenced others with.
_fenced: dict[tuple[KafkaSettings, str], Epoch] = {}
_lock = threading.Lock()


def transactional_id_of(group: str, shard: str) -> str:
    """The transactional id of the one who writes what comes of a shard.

    Shards are `topic[+topic]:k/n`: the group is all that stands before the last colon but one.
    """
    return f"newsbeam-{group}:{shard}"


def _topics_of(transactional_id: str, group: str) -> set[str]:
    """The topics of a shard's transactional id; none where it is another group's."""
    head, _, _ = transactional_id.rpartition(":")
    head, _, topics = head.rpartition(":")
    return set(topics.split("+")) if head == f"newsbeam-{group}" else set()


def fence_others(settings: KafkaSettings, group: str, shards: Sequence[str]) -> None:
    """Fences the producers of a group that read our topics in other shards than ours.

    To be called each time a shard was taken over, before committed offsets are read: of two
    instances that start at the same time, at least one then sees the other.

    Args:
        settings: How to reach the cluster.
        group: The consumer group.
        shards: The names of all our shards.
    """
    # No shard may look for committed offsets while another thread still fences who could commit.
    with _lock:
        what = f"looking for other readers of group {group!r}"
        for other, epoch in persistently(lambda: _others(settings, group, shards), what).items():
            # Once is enough for as long as nobody takes that id again.
            if _fenced.get((settings, other)) != epoch:
                log.info("fencing %s, which read group %r in other shards", other, group)
                _fenced[settings, other] = _fence(settings, other)


def forget_fenced() -> None:
    """Begins anew, for the next pipeline in this process."""
    with _lock:
        _fenced.clear()


def _others(settings: KafkaSettings, group: str, shards: Sequence[str]) -> dict[str, Epoch]:
    """The transactional ids that read our topics in other shards, and who has them now."""
    ours = {transactional_id_of(group, shard) for shard in shards}
    topics = _topics_of(next(iter(ours)), group)
    admin = settings.admin()
    try:
        listed = admin.list_transactions()
        ids = {t.transactional_id for listings in listed.values() for t in listings}
        found: dict[str, Epoch] = {}
        for other in sorted(i for i in ids - ours if _topics_of(i, group) & topics):
            if (now := _epoch(admin, other)) is not None:
                found[other] = now
        return found
    except IncompatibleBrokerVersion:
        log.debug("these brokers can't list transactions: change shards only after a drain")
        return {}
    finally:
        admin.close()


def epoch_of(settings: KafkaSettings, transactional_id: str) -> Epoch | None:
    """Who has a transactional id now; None where nobody has, or these brokers can't or won't tell."""
    admin = settings.admin()
    try:
        return _epoch(admin, transactional_id)
    except (AuthorizationError, UnsupportedVersionError) as e:
        log.debug("who has %s is not told: %s", transactional_id, e)
        return None
    finally:
        admin.close()


def _epoch(admin: KafkaAdminClient, transactional_id: str) -> Epoch | None:
    try:
        now = admin.describe_transactions([transactional_id])[transactional_id]
    except TransactionalIdNotFoundError:  # it has expired
        return None
    return now.producer_id, now.producer_epoch


def epoch_held(producer: KafkaProducer) -> Epoch:
    """The epoch with which a producer has taken its transactional id over."""
    held = producer._transaction_manager.producer_id_and_epoch
    return held.producer_id, held.epoch


def _fence(settings: KafkaSettings, transactional_id: str) -> Epoch:
    """Takes a transactional id over, and says with which epoch."""

    def take() -> Epoch:
        producer = new_producer(settings, transactional_id=transactional_id)
        try:
            producer.init_transactions()
            return epoch_held(producer)
        finally:
            close(producer, timeout=0)

    return persistently(take, f"fencing {transactional_id}")
