"""Checks Kafka before a pipeline starts: clusters, topics, the group; asks what only brokers know."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from pipeline.ends.kafka.clusters import Cluster, Unknown
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


def cluster_of(settings: KafkaSettings) -> Cluster | Unknown:
    """Asks brokers for the id of their cluster.

    Raises:
        ConfigurationError: They can't be reached.
    """
    with _admin(settings) as admin:
        try:
            found = admin.describe_cluster().get("cluster_id")
            topics = [topic.get("topic_id") for topic in admin.describe_topics()]
        except ValueError as e:  # what kafka-python can't make out of an answer
            log.debug("asking for the cluster: %s", e)
            return Unknown.CLUSTER
    ids = frozenset(str(each) for each in topics if each and int(uuid.UUID(str(each))))
    return Cluster(found, ids) if found else Unknown.CLUSTER


def check_source(source: KafkaSource, *, stop_at_end: bool, flag: str = "--source") -> KafkaSource:
    """Checks that brokers answer, topics are there, and the group is free.

    Args:
        source: The source.
        stop_at_end: Whether it is to end where its topics end now.
        flag: What names it on the command line.

    Returns:
        The same source, with that end.

    Raises:
        ConfigurationError: It can't be read.
    """
    settings, topics = source.subscription.settings, source.subscription.topics
    with _admin(settings) as admin:
        _check_topics(admin, settings, topics, flag, create=None)
        _check_group(admin, source.subscription.group, flag)
    if stop_at_end:
        source = _with_end(source)
    if source.subscription.exactly_once:
        # As transactions do.
        check_producer(settings, enable_idempotence=True)
    return source


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
    create: bool | None,
    look_only: bool = False,
) -> None:
    """Checks that topics are there; `create` says whether those that aren't may be made, if asked."""
    missing = sorted(set(topics) - set(admin.list_topics()))
    if missing and not create:
        hint = "" if create is None else ", run with --create_topics"
        raise ConfigurationError(
            f"{flag}: no topic {missing[0]!r} at {settings.servers}: create it{hint}, or let this "
            "user see it"
        )
    if look_only:
        for name in missing:
            log.info("%s: topic %s would be created", flag, name)
        return
    try:
        for name in missing:
            # -1: the broker's own defaults.
            admin.create_topics([NewTopic(name, num_partitions=-1, replication_factor=-1)])
    except TopicAlreadyExistsError:
        pass  # Somebody else made it just now.


def _check_group(admin: KafkaAdminClient, group: str, flag: str) -> None:
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
        f"group {group!r} of {flag} is in use by a subscribing consumer ({who or 'unnamed'}), and "
        "both would set back each other's offsets: name a group of newsbeam's own, ?group=NAME, or "
        "stop that consumer and wait until its session has ended"
    )


def _is_in_use(admin: KafkaAdminClient, group: str) -> bool:
    """Whether a group has members of the newer protocol, which its description does not show."""
    return any(
        each.get("group_id") == group and each.get("group_state") in _IN_USE
        for each in admin.list_groups()
    )


def check_sink(topic: KafkaTopic, flag: str, create: bool, look_only: bool = False) -> KafkaTopic:
    """Checks a topic that is written to; asks what it takes.

    Args:
        topic: The topic.
        flag: The flag that names it.
        create: Whether to create it, if it is missing.
        look_only: Say that it would be created, and leave it.

    Raises:
        ConfigurationError: It can't be written to.
    """
    with _admin(topic.settings) as admin:
        _check_topics(admin, topic.settings, [topic.name], flag, create, look_only)
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


def check_producer(settings: KafkaSettings, **needed: object) -> None:
    """Makes a producer as the pipeline will make it: some settings can't be.

    Raises:
        ConfigurationError: These can't.
    """
    close(new_producer(settings, bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT, **needed), timeout=0)


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
