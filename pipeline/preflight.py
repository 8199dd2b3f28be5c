"""Checks everything that can be checked before a pipeline starts: each fault is one clear line."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from kafka import TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from models.bundle import Bundle
from pipeline.connect import Connections, connect
from pipeline.endpoints import FileEndpoint, parse
from pipeline.options import RunOptions
from transforms.errors import ConfigurationError
from transforms.kafka.ends import end_of
from transforms.kafka.read import KafkaSource, ReadFromKafka
from transforms.kafka.settings import KafkaSettings

#: How long a broker may take to answer, in milliseconds.
BOOTSTRAP_TIMEOUT = 15_000


def check(options: RunOptions, beam_options: PipelineOptions) -> Connections:
    """Checks the options against the world.

    Returns:
        The ends of the graph, ready to be built.

    Raises:
        ConfigurationError: Something can't work; the message names the value and the fix.
        BundleError: The model can't be used.
    """
    _check_runner(beam_options)
    ends = connect(options)
    Bundle.load(options.model)
    _check_files(options, ends.bounded)
    if ends.kafka_source:
        _check_topics(ends.kafka_source.settings, ends.kafka_source.topics, "--source")
    for topic in ends.topics:
        _check_topics(topic.settings, (topic.name,), "a sink", create=options.create_topics)
    if options.stop_at_end and ends.kafka_source:
        source = _with_end(ends.kafka_source)
        ends = dataclasses.replace(ends, kafka_source=source, source=ReadFromKafka(source))
    return ends


def _check_runner(beam_options: PipelineOptions) -> None:
    direct = beam_options.view_as(DirectOptions)
    if direct.direct_num_workers != 1 or direct.direct_running_mode != "in_memory":
        raise ConfigurationError(
            "--direct_num_workers and --direct_running_mode lose records of unbounded sources on "
            "Beam's local runner: drop them; the model uses all cores anyway"
        )


def _check_files(options: RunOptions, bounded: bool) -> None:
    source = parse(options.source)
    if isinstance(source, FileEndpoint):
        try:
            found = FileSystems.match([source.path])[0].metadata_list
        except Exception as e:
            raise ConfigurationError(f"--source {options.source!r} can't be read: {e}") from None
        if not found:
            raise ConfigurationError(f"--source {options.source!r} matches no file: check the path")
    for flag, uri in (("--sink", options.sink), ("--dead_letters", options.dead_letters)):
        end = parse(uri) if uri else None
        if isinstance(end, FileEndpoint) and "://" not in end.path:
            folder = Path(end.path).absolute().parent
            if not folder.is_dir() or not os.access(folder, os.W_OK):
                raise ConfigurationError(f"{flag} {uri!r}: can't write to the folder {folder}")
        elif isinstance(end, FileEndpoint) and not bounded:
            raise ConfigurationError(
                f"{flag} {uri!r}: an endless stream can only be appended to a local file; "
                "give a local path or a topic"
            )


def _check_topics(
    settings: KafkaSettings, topics: Iterable[str], flag: str, create: bool = False
) -> None:
    admin = settings.admin(bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT)
    try:
        missing = sorted(set(topics) - set(admin.list_topics()))
        if missing and create:
            admin.create_topics(
                [NewTopic(t, num_partitions=-1, replication_factor=-1) for t in missing]
            )
        elif missing:
            raise ConfigurationError(
                f"no topic {missing[0]!r} at {settings.servers} (for {flag}): create it"
                + (", or run with --create_topics" if flag != "--source" else "")
            )
    except TopicAlreadyExistsError:
        pass  # Somebody else made it just now.
    except KafkaError as e:
        raise ConfigurationError(f"Kafka at {settings.servers} (for {flag}): {e}") from None
    finally:
        admin.close()


def _with_end(source: KafkaSource) -> KafkaSource:
    """The same source, ending where its topics end now."""
    consumer = source.settings.consumer(group_id=None, enable_auto_commit=False)
    try:
        partitions = [
            TopicPartition(topic, p)
            for topic in source.topics
            for p in consumer.partitions_for_topic(topic) or ()
        ]
    finally:
        consumer.close()
    return source.ending_at(end_of(source.settings, partitions, source.isolation_level))
