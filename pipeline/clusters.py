"""Which servers are of one Kafka cluster: its id tells, however the servers are spelt."""

from __future__ import annotations

from collections.abc import Mapping


class Clusters:
    """The clusters of servers, as far as they are known.

    Args:
        ids: The id of the cluster that `host:port[,host:port]` is of. None where nobody was asked.
    """

    def __init__(self, ids: Mapping[str, str | None] | None = None) -> None:
        self._ids = ids

    @property
    def are_known(self) -> bool:
        """Whether the clusters were asked."""
        return self._ids is not None

    def same(self, one: str, other: str) -> bool:
        """Whether servers are of one cluster: by its id, or else by a server that both name."""
        ids = self._ids or {}
        first, second = ids.get(one), ids.get(other)
        if first is not None and second is not None:
            return first == second
        return bool(set(one.split(",")) & set(other.split(",")))
