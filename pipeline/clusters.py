"""Which servers are of one Kafka cluster: its id tells, however the servers are spelt."""

from __future__ import annotations

from collections.abc import Mapping
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


class Clusters:
    """The clusters of servers, as far as they are known.

    Args:
        known: The cluster that `host:port[,host:port]` is of. None where nobody was asked.
    """

    def __init__(self, known: Mapping[str, Cluster | None] | None = None) -> None:
        self._known = known

    @property
    def are_known(self) -> bool:
        """Whether the clusters were asked."""
        return self._known is not None

    def same(self, one: str, other: str) -> bool:
        """Whether servers are of one cluster: by its id, or else by a server that both name."""
        known = self._known or {}
        first, second = known.get(one), known.get(other)
        if one == other or first is None or second is None:
            return bool(set(one.split(",")) & set(other.split(",")))
        seen = bool(first.topics and second.topics)
        return first.id == second.id and not (seen and first.topics.isdisjoint(second.topics))
