"""Topics that dead letters are taken from, and that they are replayed to.

A consumer group remembers how far they were taken. Where both are topics of one cluster, what is
replayed and the group's offsets are one transaction: see `transforms.kafka.transactions`, whose shard
this is the only reader of. Elsewhere the offsets are committed once the messages are durable.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from pipeline.ends.kafka.checks import (
    BOOTSTRAP_TIMEOUT,
    check_producer,
    check_sink,
    check_source,
)
from pipeline.ends.kafka.clusters import Cluster, Unknown, same_cluster
from pipeline.ends.kafka.peek import poll
from pipeline.ends.letters import Delivery, Letters, Publisher, Resent, Taking
from transforms.kafka.client import close_consumer
from transforms.kafka.encode import KafkaTopic, Outgoing
from transforms.kafka.faults import KafkaFailure, persistently
from transforms.kafka.offsets import OffsetsClient
from transforms.kafka.producers import close_producers, deliver
from transforms.kafka.read import KafkaSource
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.shards import Positions
from transforms.kafka.transactions import ShardTransactions
from transforms.kafka.words import said
from transforms.records import KafkaPosition, Message

log = logging.getLogger("newsbeam")

#: The cluster of an end, once it was asked.
Known = Cluster | Unknown | None


class KafkaPublisher(Publisher):
    """Writes to a topic.

    Args:
        settings: How to reach its cluster.
        name: Its name.
        cluster: The cluster, where it was asked.
        create: Create the topic if it is missing.

    Raises:
        ConfigurationError: It can't be written to.
    """

    def __init__(self, settings: KafkaSettings, name: str, cluster: Known, create: bool) -> None:
        self.cluster = cluster
        self.topic = check_sink(KafkaTopic(settings, name), "TO", create)
        check_producer(settings)

    def record(self, message: Message) -> Outgoing:
        """The record of a message."""
        return Outgoing(
            self.topic,
            message.value,
            message.key,
            message.headers,
            message.timestamp,
            None,
            whole=True,
        )

    def refusal(self, message: Message) -> str | None:
        if self.topic.compacted and message.key is None:
            return "without a key, which a compacted topic needs"
        return None if self.record(message).fits else "too large for the topic"

    def publish(self, messages: Sequence[Message]) -> None:
        deliver([self.record(message) for message in messages])

    def close(self) -> None:
        close_producers()


class KafkaLetters(Letters):
    """Takes dead letters from topics.

    Args:
        settings: How to reach their cluster.
        topics: The topics.
        group: The consumer group that remembers how far they were taken.
        cluster: The cluster, where it was asked.
        how: How they are taken.

    Raises:
        ConfigurationError: They can't be read, or the group is in use.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        group: str,
        cluster: Known,
        how: Taking,
    ) -> None:
        source = KafkaSource(settings, topics, group, shards=1)
        checked = check_source(source, stop_at_end=True, flag="FROM").subscription
        assert checked.end is not None
        self._read, self._cluster, self._how = checked, cluster, how
        self._ends = dict(checked.end)
        self._offsets = OffsetsClient(settings, group, checked.isolation_level)
        self._transactions: ShardTransactions | None = None
        self.memory = f"group {group!r}"
        self.left = f"are left in {', '.join(topics)}: give --from_start, or another ?group=NAME"

    def into(self, to: Publisher, *, transactions: bool = True) -> Delivery:
        if not (transactions and isinstance(to, KafkaPublisher) and self._is_of_one_cluster(to)):
            return super().into(to)
        (shard,) = self._read.shards()
        self._transactions = ShardTransactions(self._read, shard, self._offsets)
        return Delivery(True, "messages and offsets are written in one transaction")

    def _is_of_one_cluster(self, to: KafkaPublisher) -> bool:
        """Whether one producer, of our settings, can write to that topic and commit our offsets."""
        ours, theirs = self._read.settings, to.topic.settings
        same = same_cluster(ours.servers, self._cluster, theirs.servers, to.cluster)
        return same and _without_servers(ours) == _without_servers(theirs)

    def batches(self) -> Generator[Sequence[Message]]:
        if self._transactions is not None:
            # Before the committed offsets are read: afterwards nobody else can commit.
            self._transactions.take_over()
        at = persistently(self._positions, "looking where the group stands")
        self.waiting = sum(self._ends[tp] - offset for tp, offset in at.items())
        self._stand_at(at)
        yield from self._read_from({tp: n for tp, n in at.items() if n < self._ends[tp]})

    def _positions(self) -> Positions:
        """The offset to read next of each partition."""
        first = self._offsets.beginning(self._ends)
        if self._how.from_start:
            return first
        at: Positions = {}
        for tp, stands in self._offsets.committed(self._ends).items():
            if stands > self._ends[tp]:
                log.warning("%s was made anew: it is read from its start", tp.topic)
            elif stands < first[tp]:
                log.warning(
                    "%s-%s: %s records were deleted by the topic's retention before they were read",
                    tp.topic,
                    tp.partition,
                    f"{first[tp] - stands:,}",
                )
            else:
                at[tp] = stands
        return first | at

    def _stand_at(self, at: Positions) -> None:
        """Makes the group stand where this replay begins: whoever goes on after a kill starts there."""
        if self._how.look_only:
            return
        if self._transactions is not None:
            self._transactions.move_to(at)
            self._transactions.start_at(at)
        else:
            self._commit(at)

    def _read_from(self, at: Positions) -> Generator[Sequence[Message]]:
        consumer = self._read.settings.consumer(
            group_id=None,
            enable_auto_commit=False,
            isolation_level=self._read.isolation_level,
            auto_offset_reset="none",
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=BOOTSTRAP_TIMEOUT,
        )
        try:
            consumer.assign(list(at))
            for tp, offset in at.items():
                consumer.seek(tp, offset)
            while any(consumer.position(tp) < self._ends[tp] for tp in at):
                yield self._before_the_end(consumer)
        except KafkaError as e:
            topics = ", ".join(self._read.topics)
            raise KafkaFailure(f"can't read {topics}: {said(e)}") from e
        finally:
            close_consumer(consumer)

    def _before_the_end(self, consumer: KafkaConsumer) -> list[Message]:
        """What has come, but for what was not there when this began."""
        return [
            message
            for message in poll(consumer)
            if (place := _place(message))[1] < self._ends[place[0]]
        ]

    def hand_over(self, seen: Sequence[Message], sent: Sequence[Resent], to: Publisher) -> None:
        if self._transactions is None:
            super().hand_over(seen, sent, to)
            return
        assert isinstance(to, KafkaPublisher)
        self._transactions.commit_up_to(_after(seen), [to.record(each.message) for each in sent])

    def taken(self, seen: Sequence[Message], sent: Sequence[Resent]) -> None:
        self._commit(_after(seen))

    def _commit(self, at: Positions) -> None:
        what = f"committing offsets of {self.memory}"
        persistently(lambda: self._offsets.commit(at, self._read.run), what)

    def close(self) -> None:
        if self._transactions is not None:
            self._transactions.close()
        self._offsets.close()


def _without_servers(settings: KafkaSettings) -> dict[str, object]:
    """What a producer is made with; whether it is one cluster is another question."""
    config = settings.for_client("producer")
    return {name: value for name, value in config.items() if name != "bootstrap_servers"}


def _place(message: Message) -> tuple[TopicPartition, int]:
    source = message.source
    assert isinstance(source, KafkaPosition)
    return TopicPartition(source.topic, source.partition), source.offset


def _after(seen: Sequence[Message]) -> Positions:
    """The offset after the last message of each partition."""
    after: Positions = {}
    for tp, offset in map(_place, seen):
        after[tp] = max(after.get(tp, 0), offset + 1)
    return after
