"""How the partitions of topics are shared out, and how positions in them are written down."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence

from kafka import TopicPartition

from transforms.errors import ConfigurationError

#: `topic:partition` -> next offset: a shard's position as plain data.
Offsets = dict[str, int]
#: The same for the clients: the offset of each partition that is to be read next.
Positions = dict[TopicPartition, int]


def start_at(start: str) -> str | int:
    """Checks a start position.

    Args:
        start: `committed`, `earliest`, `latest`, or a time (RFC 3339, or milliseconds since the
            epoch).

    Returns:
        The word, or the time in milliseconds.

    Raises:
        ConfigurationError: It is none of these.
    """
    if start in {"committed", "earliest", "latest"}:
        return start
    if start.isascii() and start.isdigit() and len(start) <= 15:
        return int(start)
    try:
        moment = datetime.datetime.fromisoformat(start)
    except ValueError:
        raise ConfigurationError(
            f"start={start!r} is no start position: give committed, earliest, latest, or a time "
            "such as 2026-01-31T12:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp() * 1000)


def shard_number(tp: TopicPartition, topics: Collection[str], shards: int) -> int:
    """The shard of a partition: p mod shards.

    Partitions of a second topic are shifted by one, and so on, so that several topics of one
    partition each don't all fall to one shard.
    """
    return (tp.partition + sorted(topics).index(tp.topic)) % shards


def owned_partitions(
    partitions: Sequence[TopicPartition], topics: Collection[str], shard: int, shards: int
) -> list[TopicPartition]:
    """The partitions that shard `shard` of `shards` reads."""
    return [tp for tp in partitions if shard_number(tp, topics, shards) == shard]


def to_offsets(positions: Positions) -> Offsets:
    """A shard's position as plain data."""
    return {f"{tp.topic}:{tp.partition}": offset for tp, offset in positions.items()}


def from_offsets(offsets: Offsets) -> Positions:
    """A shard's position, from plain data."""
    names = ((name.rpartition(":"), offset) for name, offset in offsets.items())
    return {TopicPartition(topic, int(partition)): o for (topic, _, partition), o in names}
