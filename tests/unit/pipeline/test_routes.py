"""Routes: who takes which category, and what can't be one."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.connect import connect
from pipeline.ends.end import Role
from pipeline.ends.settings import EndSettings
from pipeline.options import RunOptions
from pipeline.routes import check_routes, routes_of
from transforms.errors import ConfigurationError
from transforms.writing import ITEMS, Share

IN, OUT = "kafka://h:1/in", "kafka://h:1/out"
LABELS = ("World", "Sports", "Business", "Sci/Tech")


def ends(*route: str, sink: str | None = OUT, **others: Any) -> EndSettings:
    return EndSettings(source=IN, sink=sink, route=route, **others)


def test_routes_come_first_and_the_sink_takes_the_rest() -> None:
    assert routes_of(ends("Sports=a.jsonl", "World, Business=b.jsonl?x==y")) == [
        (Share(frozenset({"Sports"})), Role.ROUTE, "a.jsonl"),
        (Share(frozenset({"World", "Business"})), Role.ROUTE, "b.jsonl?x==y"),
        (ITEMS, Role.SINK, OUT),
    ]
    assert routes_of(ends("Sports=-", sink=None)) == [
        (Share(frozenset({"Sports"})), Role.ROUTE, "-")
    ]


@pytest.mark.parametrize(
    ("route", "error"),
    [
        (("Sports",), "'Sports' is none: write CATEGORY=URI"),
        (("=a",), "'=a' is none"),
        (("Sports=",), "'Sports=' is none"),
        (("Sports,=a",), "'Sports,=a' is none"),
        (("Sports=a", "World,Sports=b"), "names category 'Sports' twice"),
        (("Sports,Sports=b",), "names category 'Sports' twice"),
    ],
)
def test_what_is_no_route(route: tuple[str, ...], error: str) -> None:
    with pytest.raises(ConfigurationError, match=f"--route {error}"):
        routes_of(ends(*route))


def test_neither_sink_nor_route() -> None:
    with pytest.raises(ConfigurationError, match="give --sink, or --route"):
        routes_of(ends(sink=None))


def test_categories_are_those_of_the_model() -> None:
    check_routes(ends("Sci/Tech=a", "Sports=b"), LABELS)
    check_routes(ends("Sci/Tech,World=a", "Sports,Business=b", sink=None), LABELS)
    with pytest.raises(ConfigurationError, match="'sports', which the model does not know: it has"):
        check_routes(ends("sports=a"), LABELS)
    with pytest.raises(ConfigurationError, match="no route takes World, Business"):
        check_routes(ends("Sports,Sci/Tech=a", sink=None), LABELS)


def run(*route: str, sink: str | None = OUT, **others: Any) -> RunOptions:
    return RunOptions(IN, sink, route=route, **others)


def test_exactly_once_where_all_are_topics_of_one_cluster() -> None:
    routes = ("Sports=kafka://h:1/sports", "World=kafka://h:1/world")
    assert connect(run(*routes)).delivery == "exactly_once"
    assert connect(run(*routes, "Business=kafka://g:1/trade")).delivery == "at_least_once"
    assert connect(run(*routes, "Business=trade.jsonl")).delivery == "at_least_once"
    with pytest.raises(ConfigurationError, match="--delivery exactly_once needs"):
        connect(run(*routes, "Business=trade.jsonl", delivery="exactly_once"))


def test_dead_letters_go_beside_the_sink_or_the_last_route() -> None:
    route = "Sports=kafka://h:1/sports"
    assert connect(run(route)).dead_letters.end.uri == f"{OUT}-dead-letters"
    found = connect(run("World=kafka://h:1/world", route, sink=None)).dead_letters
    assert found.end.uri == "kafka://h:1/sports-dead-letters"


@pytest.mark.parametrize(
    "route", ["Sports=kafka://h:1/in", "Sports=kafka://h:1/out", "Sports=kafka://h:1/dead"]
)
def test_routes_that_mix_with_what_is_there(route: str) -> None:
    with pytest.raises(ConfigurationError):
        connect(run(route, dead_letters="kafka://h:1/dead"))


def test_two_routes_to_one_place_are_one() -> None:
    with pytest.raises(ConfigurationError):
        connect(run("Sports=kafka://h:1/a", "World=kafka://h:1/a"))


@pytest.mark.parametrize("label", ["Arts, Culture", "a=b"])
def test_labels_that_no_route_can_name_go_to_the_sink(label: str):
    with pytest.raises(ConfigurationError, match=f"as {label!r}, goes to --sink only$"):
        check_routes(ends(f"{label}=a"), (label, "Sports"))
    check_routes(ends("Sports=a"), (label, "Sports"))
