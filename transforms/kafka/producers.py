"""Producers: one per process and cluster, for what is delivered at least once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from transforms.kafka.client import SteadyClient
from transforms.kafka.encode import Outgoing
from transforms.kafka.faults import KafkaFailure, Patience, heals
from transforms.kafka.settings import KafkaSettings

log = logging.getLogger("newsbeam.kafka")

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


def flush(producer: KafkaProducer) -> None:
    """Waits until each record sent is acknowledged or has failed; only its future says which.

    What `flush` itself raises says nothing of the records: it happens when batches were split.
    """
    try:
        producer.flush()
    except KafkaError as e:
        log.debug("flush: %s", e)


def close(producer: KafkaProducer, timeout: float) -> None:
    """Closes a producer; what it can't deliver in time it gives up."""
    try:
        producer.close(timeout=timeout)
    except KafkaError as e:
        log.debug("closing a producer: %s", e)


def deliver(records: Sequence[Outgoing]) -> None:
    """Sends records and waits until all are acknowledged; what fails is sent again.

    Raises:
        KafkaFailure: Kafka refuses a record.
    """
    waiting = list(records)
    patience = Patience("producing")
    while waiting:
        failed: list[tuple[Outgoing, Exception]] = []
        sent = []
        for record in waiting:
            try:
                sent.append((record, send(shared_producer(record.topic.settings), record)))
            except KafkaError as e:
                failed.append((record, e))
        for settings in {record.topic.settings for record, _ in sent}:
            flush(shared_producer(settings))
        for record, future in sent:
            try:
                future.get()
            except KafkaError as e:
                failed.append((record, e))
        for record, error in failed:
            if not heals(error):
                raise KafkaFailure(
                    f"can't produce to topic {record.topic.name}: {error}"
                ) from error
        waiting = [record for record, _ in failed]
        if failed:
            patience.wait(failed[0][1])


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
