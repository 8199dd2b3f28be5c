"""Which servers are of one cluster."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.clusters import Cluster, Clusters
from pipeline.connect import connect
from pipeline.options import RunOptions
from transforms.errors import ConfigurationError

A, B = Cluster("id", frozenset({"t1", "t2"})), Cluster("id", frozenset({"t2"}))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (A, B, True),
        (A, Cluster("id"), True),
        (A, Cluster("other", A.topics), False),
        # The id was copied with the configuration.
        (A, Cluster("id", frozenset({"t3"})), False),
        (A, None, False),
    ],
)
def test_clusters_are_the_same_by_id(first: Cluster, second: Cluster | None, same: bool) -> None:
    clusters = Clusters({"a:1": first, "b:1": second})
    assert clusters.same("a:1", "b:1") == clusters.same("b:1", "a:1") == same
    assert clusters.same("a:1", "a:1")


def test_where_nobody_was_asked_a_common_server_tells() -> None:
    assert Clusters().same("a:1,b:1", "b:1,c:1")
    assert not Clusters().same("a:1", "b:1")


def connected(**given: Any) -> Any:
    clusters = Clusters({"localhost:1": A, "127.0.0.1:1": A, "b:1": Cluster("b")})
    return connect(RunOptions(**given), clusters=clusters)


def test_one_cluster_by_two_names() -> None:
    source, sink = "kafka://localhost:1/in", "kafka://127.0.0.1:1/out"
    assert connected(source=source, sink=sink).delivery == "exactly_once"
    assert connected(source=source, sink="kafka://b:1/in").delivery == "at_least_once"
    for given, named in (
        ({"sink": "kafka://127.0.0.1:1/in"}, "--sink .* is also the source"),
        ({"sink": sink, "dead_letters": "kafka://localhost:1/out"}, "also the sink"),
        ({"sink": sink, "dead_letters": "kafka://127.0.0.1:1/in"}, "also the source"),
        ({"sink": "kafka://b:1/out", "delivery": "exactly_once"}, "but these are several"),
    ):
        with pytest.raises(ConfigurationError, match=named):
            connected(source=source + ",more", **given)
