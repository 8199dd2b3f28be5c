"""Producers: one per process and cluster, for what is delivered at least once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from transforms.kafka.client import SteadyClient
from transforms.kafka.encode import Outgoing
from transforms.kafka.faults import KafkaFailure, Patience, heals
from transforms.kafka.settings import KafkaSettings, KafkaUnavailable
from transforms.kafka.topics import MissingTopics

log = logging.getLogger("newsbeam.kafka")

#: The longest to wait for brokers at one step of writing, in seconds; then it is begun anew.
STEP_TIMEOUT = 30.0
#: The largest request. Records are held to their topics' own limits, see `KafkaTopic.max_bytes`.
MAX_REQUEST_SIZE = 64 * 1024 * 1024


def new_producer(settings: KafkaSettings, **overrides: Any) -> KafkaProducer:
    """A producer that all replicas have to acknowledge, batched a little."""
    return settings.producer(
        acks="all",
        linger_ms=5,
        max_request_size=MAX_REQUEST_SIZE,
        # A broker that is back is found within this time; by default it may take 30 s.
        reconnect_backoff_max_ms=2000,
        max_block_ms=int(STEP_TIMEOUT * 1000),
        kafka_client=SteadyClient,
        **overrides,
    )


def send(producer: KafkaProducer, record: Outgoing) -> Any:
    """Hands a record to a producer; its future is done when the broker has acknowledged it."""
    return producer.send(
        record.topic.name,
        value=record.value,
        key=record.key,
        # kafka-python has no null headers; an empty one comes nearest.
        headers=[(name, value or b"") for name, value in record.headers],
        timestamp_ms=record.timestamp,
    )


def flush(producer: KafkaProducer, timeout: float | None = None) -> None:
    """Waits until each record sent is acknowledged or has failed; only its future says which.

    What `flush` itself raises says nothing of the records: it happens when batches were split.
    """
    try:
        producer.flush(timeout)
    except KafkaError as e:
        log.debug("flush: %s", e)


def send_offsets(
    producer: KafkaProducer, offsets: Mapping[TopicPartition, OffsetAndMetadata], group: str
) -> None:
    """Makes a group's offsets part of the transaction.

    Raises:
        KafkaTimeoutError: There was no answer: the client itself would wait for ever.
    """
    result = producer._transaction_manager.send_offsets_to_transaction(offsets, group)
    _wait(producer, result, "the offsets")


def commit(producer: KafkaProducer) -> None:
    """Commits the transaction.

    Raises:
        KafkaTimeoutError: There was no answer: the client itself would wait for ever.
    """
    _wait(producer, producer._transaction_manager.begin_commit(), "the commit")


def _wait(producer: KafkaProducer, result: Any, what: str) -> None:
    producer._sender.wakeup()
    if not result.wait(STEP_TIMEOUT * 1000):
        raise KafkaTimeoutError(f"no answer to {what} in {STEP_TIMEOUT:.0f} s")


def close(producer: KafkaProducer, timeout: float) -> None:
    """Closes a producer; what it can't deliver in time it gives up."""
    try:
        producer.close(timeout=timeout)
    except KafkaError as e:
        log.debug("closing a producer: %s", e)
        # It has given up closing, then, and its thread would go on.
        producer._sender.force_close()


def deliver(records: Sequence[Outgoing]) -> None:
    """Sends records and waits until all are acknowledged; what fails is sent again.

    Raises:
        KafkaFailure: Kafka refuses a record.
    """
    waiting = list(records)
    patience = Patience("producing")
    missing: dict[KafkaSettings, MissingTopics] = {}
    while True:
        failed = _deliver_once(waiting)
        for record, error in failed:
            if not heals(error):
                raise KafkaFailure(
                    f"can't produce to topic {record.topic.name}: {error}"
                ) from error
        if not failed:
            return
        topic, error = failed[0][0].topic, failed[0][1]
        if topic.settings not in missing:
            names = {r.topic.name for r in records if r.topic.settings == topic.settings}
            missing[topic.settings] = MissingTopics(topic.settings, names)
        missing[topic.settings].look(error)
        patience.wait(error)
        waiting = [record for record, _ in failed]


def _deliver_once(records: Sequence[Outgoing]) -> list[tuple[Outgoing, Exception]]:
    """Sends records, waits for all, and gives back those that failed, and why."""
    failed: list[tuple[Outgoing, Exception]] = []
    sent = []
    for i, record in enumerate(records):
        try:
            sent.append((record, send(shared_producer(record.topic.settings), record)))
        except (KafkaError, KafkaUnavailable) as e:
            # It has waited for its topic: the others would, too.
            failed += [(waiting, e) for waiting in records[i:]]
            break
    for settings in {record.topic.settings for record, _ in sent}:
        flush(shared_producer(settings))
    for record, future in sent:
        try:
            future.get()
        except KafkaError as e:
            failed.append((record, e))
    return failed


_producers: dict[KafkaSettings, KafkaProducer] = {}
_lock = threading.Lock()


def shared_producer(settings: KafkaSettings) -> KafkaProducer:
    """The producer of this process for a cluster."""
    with _lock:
        if settings not in _producers:
            _producers[settings] = new_producer(settings)
        return _producers[settings]


def close_producers() -> None:
    """Closes all producers of this process: their next use makes new ones."""
    with _lock:
        for producer in _producers.values():
            close(producer, timeout=5)
        _producers.clear()
