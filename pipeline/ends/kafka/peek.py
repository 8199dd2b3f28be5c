"""Reads topics without a consumer group, for whoever only looks."""

from __future__ import annotations

import difflib
from collections.abc import Generator, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from transforms.errors import ConfigurationError
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.unreadable import fault_of
from transforms.kafka.words import no_broker, said, unresolved_broker
from transforms.records import KafkaPosition, Message

#: Topics named to somebody who asked for one that doesn't exist.
_NAMED = 5
#: How long brokers may take to answer at all, in milliseconds.
_BOOTSTRAP_MS = 15_000
#: How long a poll waits for records, in milliseconds.
_POLL_MS = 500


def read_topics(
    uri: str,
    settings: KafkaSettings,
    topics: Sequence[str],
    *,
    isolation_level: str = "read_committed",
    start: str = "earliest",
    follow: bool = False,
) -> Generator[list[Message]]:
    """Reads topics without a consumer group.

    Args:
        uri: What they are called in messages.
        settings: How to reach the cluster.
        topics: The topics.
        isolation_level: `read_committed` leaves out records of aborted transactions.
        start: `earliest` or `latest`.
        follow: Wait for more for ever; otherwise end at what is there now.

    Yields:
        Messages in the order of each partition.

    Raises:
        ConfigurationError: A topic does not exist or may not be read, or no broker answers.
    """
    consumer = settings.consumer(
        group_id=None,
        enable_auto_commit=False,
        isolation_level=isolation_level,
        auto_offset_reset=start,
        bootstrap_timeout_ms=_BOOTSTRAP_MS,
    )
    try:
        partitions = _partitions(consumer, settings.servers, topics)
        consumer.assign(partitions)
        yield from _poll_for_ever(consumer) if follow else _poll_to_end(consumer, partitions)
    except KafkaError as e:
        if broker := unresolved_broker(consumer):
            raise ConfigurationError(no_broker(settings.servers, broker)) from None
        raise ConfigurationError(f"can't read {uri!r}: {said(e)}") from None
    finally:
        consumer.close()


def _partitions(
    consumer: KafkaConsumer, servers: str, topics: Sequence[str]
) -> list[TopicPartition]:
    # Asking for all topics, since asking for one creates it on many clusters.
    existing = consumer.topics()
    for topic in topics:
        if topic not in existing:
            there = sorted(t for t in existing if not t.startswith("__"))
            likely = difflib.get_close_matches(topic, there, _NAMED, cutoff=0.3) or there[:_NAMED]
            raise ConfigurationError(
                f"topic {topic!r} does not exist on {servers}, or this user may not see it: "
                + (
                    f"of the {len(there)} there, did you mean {', '.join(likely)}?"
                    if there
                    else "there is none, check the servers"
                )
            )
    return [
        TopicPartition(topic, partition)
        for topic in topics
        for partition in sorted(consumer.partitions_for_topic(topic) or ())
    ]


def poll(consumer: KafkaConsumer) -> list[Message]:
    """What has come, or nothing after a while."""
    return [
        Message(
            value=record.value,
            key=record.key,
            headers=tuple(record.headers),
            timestamp=record.timestamp,
            source=KafkaPosition(record.topic, record.partition, record.offset),
            fault=fault_of(record),
        )
        for records in consumer.poll(_POLL_MS).values()
        for record in records
    ]


def _poll_for_ever(consumer: KafkaConsumer) -> Generator[list[Message]]:
    while True:
        yield poll(consumer)


def _poll_to_end(
    consumer: KafkaConsumer, partitions: list[TopicPartition]
) -> Generator[list[Message]]:
    ends = consumer.end_offsets(partitions)
    while any(consumer.position(tp) < end for tp, end in ends.items()):
        yield poll(consumer)
    # Tansu, the embedded broker, names the start of the last batch as the end: read what is left.
    while any(consumer.position(tp) < (consumer.highwater(tp) or 0) for tp in partitions):
        if not (rest := poll(consumer)):
            break
        yield rest
