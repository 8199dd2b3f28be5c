"""Checks Kafka before a pipeline starts: clusters, topics, the group; asks what only brokers know."""

from __future__ import annotations

import dataclasses
import logging
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from pipeline.clusters import Cluster, Clusters
from pipeline.connect import EXACTLY_ONCE, Ends
from pipeline.options import RunOptions
from transforms.errors import ConfigurationError
from transforms.kafka.encode import MAX_MESSAGE_BYTES, KafkaTopic
from transforms.kafka.ends import end_of
from transforms.kafka.producers import close, new_producer
from transforms.kafka.read import KafkaSource
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.words import no_broker, said, unresolved_broker

log = logging.getLogger("newsbeam")

#: How long a broker may take to answer, in milliseconds.
BOOTSTRAP_TIMEOUT = 15_000
#: States of a group that somebody reads with; others are those of one that has offsets only.
_IN_USE = {"Stable", "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling"}


def clusters_of(ends: Ends) -> Clusters:
    """Asks for the ids of the clusters that several endpoints name, each in its own way."""
    source, sinks = ends.kafka_source, (ends.topic, ends.dead_letter_topic)
    settings = [sink.settings for sink in sinks if sink is not None]
    if source is not None:
        settings.append(source.subscription.settings)
    by_servers = {each.servers: each for each in settings}
    if len(by_servers) < 2:
        return Clusters()
    known: dict[str, Cluster | None] = {}
    for servers, each in by_servers.items():
        with _admin(each) as admin:
            known[servers] = _cluster(admin)
    return Clusters(known)


def _cluster(admin: KafkaAdminClient) -> Cluster | None:
    """The cluster; None where its brokers don't tell its id."""
    try:
        found = admin.describe_cluster().get("cluster_id")
        topics = [topic.get("topic_id") for topic in admin.describe_topics()]
    except ValueError as e:  # what kafka-python can't make out of an answer
        log.debug("asking for the cluster: %s", e)
        return None
    ids = frozenset(str(each) for each in topics if each and int(uuid.UUID(str(each))))
    return Cluster(found, ids) if found else None


def check_kafka(ends: Ends, options: RunOptions) -> Ends:
    """Checks that brokers answer and topics are there; asks what only they know.

    Returns:
        The same ends, with what was asked.

    Raises:
        ConfigurationError: Something can't work.
    """
    source, topic, dead_letters = ends.kafka_source, ends.topic, ends.dead_letter_topic
    if source is not None:
        settings, topics = source.subscription.settings, source.subscription.topics
        with _admin(settings) as admin:
            _check_topics(admin, settings, topics, "--source", create=False)
            _check_group(admin, source.subscription.group)
        if options.stop_at_end:
            source = _with_end(source)
    if topic is not None:
        topic = _check_sink(topic, "--sink", options.create_topics)
    if dead_letters is not None:
        dead_letters = _check_sink(dead_letters, "--dead_letters", options.create_topics)
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
        servers = self._settings.servers
        broker = unresolved_broker(self._client) if isinstance(error, KafkaError) else None
        self._client.close()
        if broker is not None:
            raise ConfigurationError(no_broker(servers, broker)) from None
        if isinstance(error, KafkaError):
            raise ConfigurationError(f"Kafka at {servers} says: {said(error)}") from None


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


def _check_group(admin: KafkaAdminClient, group: str) -> None:
    """Refuses a group that others read with: brokers take offsets of its members only."""
    try:
        found = admin.describe_groups([group])[group]
        members = found.get("members") or []
        if not members and not _is_in_use(admin, group):
            return
    # What kafka-python can't make out of an answer is a ValueError.
    except (KafkaError, KeyError, ValueError) as e:
        log.debug("asking for group %s: %s", group, e)  # Not every broker tells, or lets us ask.
        return
    who = ", ".join(
        f"{m.get('client_id') or '?'} at {str(m.get('client_host') or '?').lstrip('/')}"
        for m in members[:3]
    )
    raise ConfigurationError(
        f"group {group!r} of --source is in use by a subscribing consumer ({who or 'unnamed'}), and "
        "both would set back each other's offsets: name a group of newsbeam's own, ?group=NAME, or "
        "stop that consumer and wait until its session has ended"
    )


def _is_in_use(admin: KafkaAdminClient, group: str) -> bool:
    """Whether a group has members of the newer protocol, which its description does not show."""
    return any(
        each.get("group_id") == group and each.get("group_state") in _IN_USE
        for each in admin.list_groups()
    )


def _check_sink(topic: KafkaTopic, flag: str, create: bool) -> KafkaTopic:
    """The topic, with what it takes."""
    with _admin(topic.settings) as admin:
        _check_topics(admin, topic.settings, [topic.name], flag, create)
        config = _config(admin, topic.name)
    compacted = "compact" in str(config.get("cleanup.policy"))
    if compacted:
        log.warning(
            "%s: topic %s is compacted (cleanup.policy=compact): Kafka keeps only the last record of "
            "each key there, and takes none without a key%s",
            flag,
            topic.name,
            ", so dead letters without one get their place in the source"
            if flag == "--dead_letters"
            else "; those become dead letters",
        )
    try:
        max_bytes = int(config["max.message.bytes"])
    except (KeyError, TypeError, ValueError):
        max_bytes = MAX_MESSAGE_BYTES
    return topic._replace(max_bytes=max_bytes, compacted=compacted)


def _config(admin: KafkaAdminClient, topic: str) -> Mapping[str, Any]:
    """What brokers tell of a topic's configuration: not every one does, and not to everybody."""
    names = dict.fromkeys(["max.message.bytes", "cleanup.policy"])
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, names)
    try:
        found = admin.describe_configs([resource], config_filter="all")["topic"][topic]
        return {name: value["value"] for name, value in found.items()}
    except (KafkaError, KeyError, TypeError) as e:
        log.debug("asking for the configuration of %s: %s", topic, e)
        return {}


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
    try:
        return source.ending_at(end_of(read.settings, partitions, read.isolation_level))
    except KafkaError as e:  # whoever sees a topic need not have the right to read it
        raise ConfigurationError(f"Kafka at {read.settings.servers} says: {said(e)}") from None
