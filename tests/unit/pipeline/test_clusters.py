"""Which servers are of one cluster."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.connect import connect
from pipeline.ends.kafka import checks
from pipeline.ends.kafka.clusters import Cluster, Unknown, same_cluster
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
        (A, Unknown.CLUSTER, False),
    ],
)
def test_clusters_are_the_same_by_id(first: Cluster, second: Cluster | Unknown, same: bool) -> None:
    assert same_cluster("a:1", first, "b:1", second) == same
    assert same_cluster("b:1", second, "a:1", first) == same
    assert same_cluster("a:1", first, "a:1", first)


def test_where_nobody_was_asked_a_common_server_tells() -> None:
    assert same_cluster("a:1,b:1", None, "b:1,c:1", None)
    assert not same_cluster("a:1", None, "b:1", None)


def connected(**given: Any) -> Any:
    return connect(RunOptions(**given), ask=True)


def test_one_cluster_by_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"localhost:1": A, "127.0.0.1:1": A, "b:1": Cluster("b")}
    monkeypatch.setattr(checks, "cluster_of", lambda settings: known[settings.servers])
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
