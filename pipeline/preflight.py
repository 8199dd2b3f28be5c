"""Checks everything that can be checked before a pipeline starts: each fault is one clear line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
)
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from pipeline.connect import EXACTLY_ONCE, Ends, connect
from pipeline.file_runs import check_files
from pipeline.options import RunOptions
from transforms.errors import ConfigurationError
from transforms.kafka.encode import MAX_MESSAGE_BYTES, KafkaTopic
from transforms.kafka.ends import end_of
from transforms.kafka.producers import close, new_producer
from transforms.kafka.read import KafkaSource
from transforms.kafka.settings import KafkaSettings

#: Runners that work in the process of the command line.
LOCAL_RUNNERS = {"FnApiRunner", "PrismRunner", "DirectRunner"}
#: How long a broker may take to answer, in milliseconds.
BOOTSTRAP_TIMEOUT = 15_000


def check(options: RunOptions, beam_options: PipelineOptions) -> Ends:
    """Checks the options against the world.

    Returns:
        The ends of the graph, ready to be built.

    Raises:
        ConfigurationError: Something can't work; the message names the value and the fix.
    """
    _check_runner(beam_options)
    runner = beam_options.view_as(StandardOptions).runner
    ends = connect(options, in_one_process=runner in LOCAL_RUNNERS)
    ends = check_files(ends, options, local=runner in LOCAL_RUNNERS)
    return _check_kafka(ends, options)


def _check_runner(beam_options: PipelineOptions) -> None:
    direct = beam_options.view_as(DirectOptions)
    if direct.direct_num_workers != 1 or direct.direct_running_mode != "in_memory":
        raise ConfigurationError(
            "--direct_num_workers and --direct_running_mode lose records of unbounded sources on "
            "Beam's local runner: drop them; the model uses all cores anyway"
        )


# ---- Kafka ---------------------------------------------------------------------------------------


def _check_kafka(ends: Ends, options: RunOptions) -> Ends:
    """Checks that brokers answer and topics are there; asks what only they know."""
    clusters = set()
    source, topic, dead_letters = ends.kafka_source, ends.topic, ends.dead_letter_topic
    if source is not None:
        settings, topics = source.subscription.settings, source.subscription.topics
        with _admin(settings) as admin:
            _check_topics(admin, settings, topics, "--source", create=False)
            clusters.add(_cluster(admin))
        if options.stop_at_end:
            source = _with_end(source)
    if topic is not None:
        topic, cluster = _check_sink(topic, "--sink", options.create_topics)
        clusters.add(cluster)
    if dead_letters is not None:
        create = options.create_topics
        dead_letters, cluster = _check_sink(dead_letters, "--dead_letters", create)
        clusters.add(cluster)
    if ends.delivery == EXACTLY_ONCE and len(clusters) > 1:
        raise ConfigurationError(
            "--delivery exactly_once needs source, sink and dead letters in one Kafka cluster, but "
            f"these are {len(clusters)}: give topics of one, or --delivery at_least_once"
        )
    _check_producers(ends)
    return dataclasses.replace(
        ends, kafka_source=source, topic=topic, dead_letter_topic=dead_letters
    )


class _admin:  # noqa: N801 - a context manager
    """An admin client, whose errors name the cluster."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    def __enter__(self) -> KafkaAdminClient:
        self._client = self._settings.admin(bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT)
        return self._client

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._client.close()
        if isinstance(error, KafkaError):
            raise ConfigurationError(f"Kafka at {self._settings.servers} says: {error}") from None


def _cluster(admin: KafkaAdminClient) -> str:
    return str(admin.describe_cluster().get("cluster_id"))


def _check_topics(
    admin: KafkaAdminClient,
    settings: KafkaSettings,
    topics: Iterable[str],
    flag: str,
    create: bool,
) -> None:
    missing = sorted(set(topics) - set(admin.list_topics()))
    if missing and not create:
        hint = "" if flag == "--source" else ", run with --create_topics"
        raise ConfigurationError(
            f"{flag}: no topic {missing[0]!r} at {settings.servers}: create it{hint}, or let this "
            "user see it"
        )
    try:
        for name in missing:
            # -1: the broker's own defaults.
            admin.create_topics([NewTopic(name, num_partitions=-1, replication_factor=-1)])
    except TopicAlreadyExistsError:
        pass  # Somebody else made it just now.


def _check_sink(topic: KafkaTopic, flag: str, create: bool) -> tuple[KafkaTopic, str]:
    """The topic with the largest message it takes, and its cluster."""
    with _admin(topic.settings) as admin:
        _check_topics(admin, topic.settings, [topic.name], flag, create)
        return topic._replace(max_bytes=_max_bytes(admin, topic.name)), _cluster(admin)


def _max_bytes(admin: KafkaAdminClient, topic: str) -> int:
    name = "max.message.bytes"
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, {name: None})
    try:
        found = admin.describe_configs([resource], config_filter="all")
        return int(found["topic"][topic][name]["value"])
    except (KafkaError, KeyError, TypeError, ValueError):
        return MAX_MESSAGE_BYTES  # Not every broker tells, and not everybody may ask.


def _check_producers(ends: Ends) -> None:
    """Makes the producers that the pipeline will make: some settings can't be."""
    settings = {topic.settings for topic in (ends.topic, ends.dead_letter_topic) if topic}
    needed: dict[str, object] = {}
    if ends.delivery == EXACTLY_ONCE and ends.kafka_source is not None:
        settings = {ends.kafka_source.subscription.settings}
        needed["enable_idempotence"] = True  # as transactions do
    for each in settings:
        close(new_producer(each, bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT, **needed), timeout=0)


def _with_end(source: KafkaSource) -> KafkaSource:
    """The same source, ending where its topics end now."""
    read = source.subscription
    consumer = read.settings.consumer(group_id=None, enable_auto_commit=False)
    try:
        partitions = [
            TopicPartition(topic, p)
            for topic in read.topics
            for p in consumer.partitions_for_topic(topic) or ()
        ]
    finally:
        consumer.close()
    return source.ending_at(end_of(read.settings, partitions, read.isolation_level))
