"""Which servers are of one Kafka cluster: its id tells, however the servers are spelt."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Cluster(NamedTuple):
    """What tells a cluster from others.

    Attributes:
        id: Its id. Copied configurations give several clusters the same.
        topics: The ids of topics that can be seen there, which no two clusters share; empty where
            brokers tell none.
    """

    id: str
    topics: frozenset[str] = frozenset()


class Unknown(enum.Enum):
    """A cluster that was asked, and tells no id."""

    CLUSTER = "unknown"


def same_cluster(
    servers: str, one: Cluster | Unknown | None, others: str, other: Cluster | Unknown | None
) -> bool:
    """Whether servers are of one cluster: by its id, or else by a server that both name.

    Args:
        servers: `host:port[,host:port]`.
        one: Their cluster; None where nobody has asked.
        others: Other servers.
        other: Their cluster.
    """
    if servers == others or not isinstance(one, Cluster) or not isinstance(other, Cluster):
        return bool(set(servers.split(",")) & set(others.split(",")))
    seen = bool(one.topics and other.topics)
    return one.id == other.id and not (seen and one.topics.isdisjoint(other.topics))
