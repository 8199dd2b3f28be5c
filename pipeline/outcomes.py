"""Reads back what newsbeam wrote: categorized items and dead letters, from topics and files."""

from __future__ import annotations

import difflib
import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import IO

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from pipeline.endpoints import KafkaEndpoint
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.files.archives import OpenFile, check_piped
from transforms.files.paths import find_and_tell
from transforms.kafka.unreadable import fault_of
from transforms.kafka.words import no_broker, said, unresolved_broker
from transforms.records import (
    HEADER_PREFIX,
    FilePosition,
    KafkaPosition,
    Message,
    Outcome,
    categorized_from_json,
    dead_letter_from_headers,
    dead_letter_from_json,
)
from transforms.streams import check_stdin, read_chunks, read_lines

#: Topics named to somebody who asked for one that doesn't exist.
_NAMED = 5
#: Lines of a file handed on at once.
_LINES = 500
#: How long brokers may take to answer at all, in milliseconds.
_BOOTSTRAP_MS = 15_000
#: How long a poll waits for records, in milliseconds.
_POLL_MS = 500


class UnreadableRecord(Exception):
    """A record is neither a categorized item nor a dead letter; the message says where and why."""


def outcome_of(message: Message) -> Outcome:
    """Decodes what newsbeam wrote.

    Raises:
        UnreadableRecord: It wrote something else, or somebody else did.
    """
    if message.fault is not None:
        raise UnreadableRecord(f"{message.source} can't be read: {message.fault}")
    try:
        if any(name == HEADER_PREFIX + "stage" for name, _ in message.headers):
            return dead_letter_from_headers(message)
        if message.value is None:
            raise ValueError("it has no value (a tombstone)")
        try:
            return categorized_from_json(message.value)
        except msgspec.ValidationError as not_categorized:
            try:
                return dead_letter_from_json(message.value)
            except msgspec.ValidationError:
                raise not_categorized from None
    except (ValueError, msgspec.MsgspecError, RecursionError) as e:
        reason = " ".join(str(e).split())
        raise UnreadableRecord(
            f"{message.source} is neither a categorized item nor a dead letter: {reason}"
        ) from None


def read_topics(
    endpoint: KafkaEndpoint,
    kafka_config: str | None = None,
    *,
    start: str = "earliest",
    follow: bool = False,
) -> Iterator[list[Message]]:
    """Reads topics without a consumer group.

    Records of aborted transactions are left out, unless the URI says `isolation_level`.

    Args:
        endpoint: The topics. A group, and where it starts, say nothing here.
        kafka_config: Properties file with client settings.
        start: `earliest` or `latest`.
        follow: Wait for more for ever; otherwise end at what is there now.

    Yields:
        Messages in the order of each partition.

    Raises:
        ConfigurationError: A topic does not exist or may not be read, or no broker answers.
    """
    consumer = endpoint.settings(kafka_config).consumer(
        group_id=None,
        enable_auto_commit=False,
        isolation_level=endpoint.query.get("isolation_level", "read_committed"),
        auto_offset_reset=start,
        bootstrap_timeout_ms=_BOOTSTRAP_MS,
    )
    try:
        partitions = _partitions(consumer, endpoint)
        consumer.assign(partitions)
        yield from _poll_for_ever(consumer) if follow else _poll_to_end(consumer, partitions)
    except KafkaError as e:
        if broker := unresolved_broker(consumer):
            raise ConfigurationError(no_broker(endpoint.servers, broker)) from None
        raise ConfigurationError(f"can't read {endpoint.uri!r}: {said(e)}") from None
    finally:
        consumer.close()


def _partitions(consumer: KafkaConsumer, endpoint: KafkaEndpoint) -> list[TopicPartition]:
    # Asking for all topics, since asking for one creates it on many clusters.
    existing = consumer.topics()
    for topic in endpoint.topics:
        if topic not in existing:
            there = sorted(t for t in existing if not t.startswith("__"))
            likely = difflib.get_close_matches(topic, there, _NAMED, cutoff=0.3) or there[:_NAMED]
            raise ConfigurationError(
                f"topic {topic!r} does not exist on {endpoint.servers}, or this user may not see it: "
                + (
                    f"of the {len(there)} there, did you mean {', '.join(likely)}?"
                    if there
                    else "there is none, check the servers"
                )
            )
    return [
        TopicPartition(topic, partition)
        for topic in endpoint.topics
        for partition in sorted(consumer.partitions_for_topic(topic) or ())
    ]


def _poll(consumer: KafkaConsumer) -> list[Message]:
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


def _poll_for_ever(consumer: KafkaConsumer) -> Iterator[list[Message]]:
    while True:
        yield _poll(consumer)


def _poll_to_end(
    consumer: KafkaConsumer, partitions: list[TopicPartition]
) -> Iterator[list[Message]]:
    ends = consumer.end_offsets(partitions)
    while any(consumer.position(tp) < end for tp, end in ends.items()):
        yield _poll(consumer)
    # Tansu, the embedded broker, names the start of the last batch as the end: read what is left.
    while any(consumer.position(tp) < (consumer.highwater(tp) or 0) for tp in partitions):
        if not (rest := _poll(consumer)):
            break
        yield rest


def read_files(pattern: str) -> Iterator[list[Message]]:
    """Reads files of one JSON record a line; archives are unpacked.

    Args:
        pattern: A path, a folder or a glob pattern.

    Raises:
        ConfigurationError: There is no such file, or it can't be read.
    """
    paths = find_and_tell(pattern)
    if not paths:
        raise ConfigurationError(f"no file matches {pattern!r}: give a path, or a pattern of one")
    for path in paths:
        try:
            with OpenFile(path) as file:
                yield from _lines(path, file.lines(), _LINES)
        except PipelineFailure as e:
            raise ConfigurationError(str(e)) from None
        except OSError as e:
            if isinstance(e, BrokenPipeError):
                raise
            raise ConfigurationError(f"can't read {path!r}: {e}") from None


def read_stdin() -> Iterator[list[Message]]:
    """Reads one JSON record a line from stdin, each as it comes.

    Raises:
        ConfigurationError: It is closed, or can't be read.
    """
    check_stdin()
    return _stdin()


def _stdin() -> Iterator[list[Message]]:
    lines = itertools.chain.from_iterable(
        read_lines(check_piped(read_chunks(sys.stdin.buffer), "stdin"))
    )
    try:
        yield from _lines("-", lines, 1)
    except OSError as e:
        if isinstance(e, BrokenPipeError):
            raise
        raise ConfigurationError(f"can't read stdin: {e.strerror}") from None


def _lines(name: str, file: Iterable[bytes] | IO[bytes], at_once: int) -> Iterator[list[Message]]:
    messages = (
        Message(value=stripped, source=FilePosition(name, number))
        for number, line in enumerate(file, 1)
        if (stripped := line.rstrip(b"\r\n"))
    )
    while chunk := list(itertools.islice(messages, at_once)):
        yield chunk
