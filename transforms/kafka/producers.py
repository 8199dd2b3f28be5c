"""Producers: their steps, each with an end; and `deliver`, at least once, with one a cluster."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka.errors import (
    IllegalStateError,
    InvalidRecordError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
)
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.structs import OffsetAndMetadata

from transforms.kafka.client import SteadyClient
from transforms.kafka.encode import Outgoing, RecordRefused, buried, made_to_fit, with_key
from transforms.kafka.faults import (
    KafkaFailure,
    OfNeighbour,
    Patience,
    is_refused,
    is_refused_time,
    may_be_sent_again,
)
from transforms.kafka.partitioner import Partitioner
from transforms.kafka.settings import KafkaSettings, KafkaUnavailable
from transforms.kafka.topics import MissingTopics
from transforms.kafka.words import said
from transforms.per_process import PerProcess
from transforms.records import DeadLetter

log = logging.getLogger("newsbeam.kafka")

#: The longest to wait for brokers at one step of writing, in seconds; then it is begun anew.
STEP_TIMEOUT = 30.0
#: The longest to wait for records outside of transactions, in seconds: more than kafka-python's own
#: `delivery_timeout_ms`, after which it gives up by itself, as a rule.
DELIVERY_TIMEOUT = 150.0
#: How large a batch of records may get, in bytes. A bundle's records are flushed together anyway; but
#: from the first batch that is full on, kafka-python wakes its thread for each record.
BATCH_SIZE = 128 * 1024
#: The largest request. Records are held to their topics' own limits, see `KafkaTopic.max_bytes`.
MAX_REQUEST_SIZE = 64 * 1024 * 1024
_compressing_lock = threading.Lock()
_AS_IT_IS = contextlib.nullcontext()


def new_producer(settings: KafkaSettings, **overrides: Any) -> KafkaProducer:
    """A producer that all replicas have to acknowledge, batched a little."""
    producer = settings.producer(
        acks="all",
        linger_ms=5,
        batch_size=BATCH_SIZE,
        partitioner=Partitioner(),
        max_request_size=MAX_REQUEST_SIZE,
        # A broker that is back is found within this time; by default it may take 30 s.
        reconnect_backoff_max_ms=2000,
        max_block_ms=int(STEP_TIMEOUT * 1000),
        kafka_client=SteadyClient,
        **overrides,
    )
    _tell_neighbours_apart(producer)
    return producer


def _tell_neighbours_apart(producer: KafkaProducer) -> None:
    """Has records that are given up for another one's sake say so.

    kafka-python fails all that waits with the error of the record that was refused: each of them
    would seem to be refused itself.
    """
    accumulator = producer._accumulator
    for name in ("abort_batches", "abort_undrained_batches"):
        abort = getattr(accumulator, name)
        setattr(accumulator, name, lambda error, abort=abort: abort(_of_neighbour(error)))


def _of_neighbour(error: Exception) -> Exception:
    """The error of a record that fails since another one has, with this error."""
    if is_refused(error) or is_refused_time(error):
        return OfNeighbour(f"another record was refused: {said(error)}")
    return error


def send_all(
    producer: KafkaProducer, records: Sequence[Outgoing], timeout: float
) -> dict[int, KafkaError]:
    """Sends records and waits until each is acknowledged or has failed.

    Args:
        producer: Sends them.
        records: The records.
        timeout: The longest to wait for all, in seconds.

    Returns:
        What went wrong, by the record's place among the records.
    """
    deadline = time.monotonic() + timeout
    failed: dict[int, KafkaError] = {}
    futures = []
    for i, record in enumerate(records):
        try:
            futures.append((i, _send(producer, record)))
        except MessageSizeTooLargeError as e:
            failed[i] = e
        except KafkaError as e:
            # It has waited for its topic: the others would, too.
            failed |= dict.fromkeys(range(i, len(records)), e)
            break
    try:
        producer.flush(timeout)
    except KafkaError as e:
        # That says nothing of the records: it happens when batches were split.
        log.debug("flush: %s", e)
    for i, future in futures:
        try:
            future.get(timeout=max(0.0, deadline - time.monotonic()))
        except KafkaError as e:
            failed[i] = e
    return failed


def _send(producer: KafkaProducer, record: Outgoing) -> Any:
    small = producer.config.get("compression_attrs", 0) or record.fits_plain
    with _AS_IT_IS if small else _compressing(producer):
        return producer.send(
            record.topic.name,
            value=record.value,
            key=record.key,
            headers=record.sent_headers,
            timestamp_ms=record.timestamp,
        )


@contextlib.contextmanager
def _compressing(producer: KafkaProducer) -> Iterator[None]:
    """Has a record compressed that is too large otherwise: so large, it is a batch of its own."""
    config = producer._accumulator.config
    # Threads share producers: another one's large record would end the compressing of this one.
    with _compressing_lock:
        config["compression_attrs"] = DefaultRecordBatchBuilder.CODEC_GZIP
        try:
            yield
        finally:
            config["compression_attrs"] = 0


def to_try_again(record: Outgoing, error: BaseException) -> Outgoing | DeadLetter:
    """A record that failed, as the broker may take it.

    Under the time of writing if its own won't do; as a dead letter if its topic does not take it; that
    with a key, or cut, if need be.

    Raises:
        KafkaFailure: Not even that will.
    """
    changed: Outgoing | DeadLetter | None = record
    if is_refused_time(error):
        changed = None if record.timestamp is None else record._replace(timestamp=None)
    elif is_refused(error):
        if record.whole:
            changed = None
        elif record.origin is not None:
            why = f"topic {record.topic.name} does not take it: {said(error)}"
            changed = buried(record, RecordRefused(why))
        elif not isinstance(error, InvalidRecordError):
            changed = made_to_fit(record)
        elif (keyed := with_key(record)) != record:
            changed = keyed
        else:
            changed = None
    if changed is None:
        raise KafkaFailure(f"can't produce to topic {record.topic.name}: {said(error)}") from error
    return changed


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


def deliver(records: Sequence[Outgoing]) -> list[DeadLetter]:
    """Sends records and waits until all are acknowledged; what fails is sent again.

    Returns:
        Dead letters of records that their topic does not take, where they go elsewhere.

    Raises:
        KafkaFailure: Kafka refuses a record.
    """
    waiting = list(records)
    letters: list[DeadLetter] = []
    patience = Patience("producing")
    missing: dict[KafkaSettings, MissingTopics] = {}
    while True:
        failed = _deliver_once(waiting)
        for record, error in failed:
            # The latter is what other threads' records get when the producer that we share is dropped.
            if not (may_be_sent_again(error) or isinstance(error, IllegalStateError)):
                raise KafkaFailure(
                    f"can't produce to topic {record.topic.name}: {said(error)}"
                ) from error
        again = [to_try_again(record, error) for record, error in failed]
        letters += [letter for letter in again if isinstance(letter, DeadLetter)]
        waiting = [record for record in again if isinstance(record, Outgoing)]
        if not waiting:
            return letters
        troubles = [
            (r.topic, e) for r, e in failed if not (is_refused(e) or isinstance(e, OfNeighbour))
        ]
        if not troubles:
            continue
        topic, error = troubles[0]
        if topic.settings not in missing:
            names = {r.topic.name for r in records if r.topic.settings == topic.settings}
            missing[topic.settings] = MissingTopics(topic.settings, names)
        missing[topic.settings].look(error)
        patience.wait(error)


def _deliver_once(records: Sequence[Outgoing]) -> list[tuple[Outgoing, Exception]]:
    """Sends records, waits for all, and gives back those that failed, and why."""
    failed: list[tuple[Outgoing, Exception]] = []
    for settings in dict.fromkeys(record.topic.settings for record in records):
        theirs = [record for record in records if record.topic.settings == settings]
        try:
            producer = shared_producer(settings)
        except KafkaUnavailable as e:
            failed += [(record, e) for record in theirs]
            continue
        errors = send_all(producer, theirs, DELIVERY_TIMEOUT)
        failed += [(theirs[i], e) for i, e in errors.items()]
        if errors:
            # One that has given records up for lost may wait for ever with those that come after.
            _drop(settings, producer)
    return failed


_producers: PerProcess[KafkaSettings, KafkaProducer] = PerProcess()


def shared_producer(settings: KafkaSettings) -> KafkaProducer:
    """The producer of this process for a cluster."""
    return _producers.get(settings, lambda: new_producer(settings))


def _drop(settings: KafkaSettings, producer: KafkaProducer) -> None:
    """Closes a shared producer, unless another thread has; the next use makes a new one."""
    if _producers.drop(settings, producer):
        close(producer, timeout=0)


def close_producers() -> None:
    """Closes all producers of this process: their next use makes new ones."""
    for producer in _producers.clear():
        close(producer, timeout=5)
