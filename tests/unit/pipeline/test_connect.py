"""Connecting: which transforms the endpoints become, and which combinations cannot be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from pipeline.connect import connect
from pipeline.ends.end import Ends
from pipeline.ends.kafka.end import KafkaEnd, KafkaFrom, KafkaTo
from pipeline.ends.kinds import parse
from pipeline.ends.records import Records
from pipeline.ends.std import StdEnd
from pipeline.graph import build
from pipeline.options import RunOptions
from tests.unit.running import local_pipeline
from transforms.errors import ConfigurationError
from transforms.kafka.encode import KafkaTopic
from transforms.kafka.read import KafkaSource
from transforms.records import categorized_from_json, dead_letter_from_json

IN, OUT, DEAD = "kafka://h:1/in", "kafka://h:1/out", "kafka://h:1/dead"


def options(source: str = IN, sink: str = OUT, **others: Any) -> RunOptions:
    return RunOptions(source, sink, **others)


def source_of(ends: Ends) -> KafkaSource:
    assert isinstance(ends.source, KafkaFrom)
    return ends.source.source


def topics_of(ends: Ends) -> list[KafkaTopic]:
    return [sink.topic for sink in ends.written if isinstance(sink, KafkaTo)]


# ---- where dead letters go -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sink", "topics"),
    [
        ("kafka://h:1/out", ("out-dead-letters",)),
        ("kafka://h:1/out/", ("out-dead-letters",)),
        ("kafka://h:1,g:2/out?client_id=x", ("out-dead-letters",)),
    ],
)
def test_dead_letters_go_to_a_topic_beside_the_sinks(sink: str, topics: tuple[str, ...]) -> None:
    found, end = parse(sink).beside(), parse(sink)
    assert isinstance(found, KafkaEnd)
    assert isinstance(end, KafkaEnd)
    assert found.topics == topics
    assert (found.servers, found.query) == (end.servers, end.query)


@pytest.mark.parametrize(
    ("sink", "beside"),
    [
        ("kafka://h:1/out?client_id=x&", "kafka://h:1/out-dead-letters?client_id=x"),
        ("pubsub://p-1/out?", "pubsub://p-1/out-dead-letters"),
    ],
)
def test_dead_letters_are_no_results_and_have_no_format(sink: str, beside: str) -> None:
    end = parse(f"{sink}format=avro&schema_registry=http://h:8081").beside()
    assert end is not None
    assert end.uri == beside
    assert end.records == Records()
    with pytest.raises(ConfigurationError, match="format is for sources only, drop it"):
        connect(options(sink="out.jsonl", dead_letters=f"{beside.partition('?')[0]}?format=json"))


@pytest.mark.parametrize(
    ("sink", "path"),
    [
        ("out.jsonl", "out.dead_letters.jsonl"),
        ("/a/out.jsonl.gz", "/a/out.dead_letters.jsonl.gz"),
        ("file:///a/out.jsonl", "/a/out.dead_letters.jsonl"),
        ("file://a:b.jsonl", "a:b.dead_letters.jsonl"),
        ("out", "out.dead_letters.jsonl"),
    ],
)
def test_dead_letters_go_to_a_file_beside_the_sinks(sink: str, path: str) -> None:
    assert getattr(parse(sink).beside(), "path", None) == path


def test_dead_letters_of_devices_and_pipes_go_to_stderr(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for sink in ("/dev/null", str(tmp_path / "pipe"), f"file://{tmp_path}/pipe"):
        assert connect(options(sink=sink)).dead_letters.end == StdEnd("stderr")


def test_dead_letters_of_stdout_go_to_stderr() -> None:
    assert connect(options(sink="-")).dead_letters.end == StdEnd("stderr")


# ---- what is resolved ------------------------------------------------------------------------------


def test_kafka_to_kafka() -> None:
    ends = connect(options(IN + ",in2?group=g&start=earliest", shards=3))
    source = source_of(ends)
    read = source.subscription
    assert (read.topics, read.group, read.start) == (("in", "in2"), "g", "earliest")
    assert len(source.shards()) == 3
    assert [topic.name for topic in topics_of(ends)] == ["out", "out-dead-letters"]
    assert not ends.source.bounded
    assert ends.source.run.news.format == "json"


def test_one_shard_where_one_process_reads_all_and_more_elsewhere() -> None:
    def shards(**how: bool) -> int:
        return len(source_of(connect(options(), **how)).shards())

    assert shards() == 1
    assert shards(local=False) == 2 * (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("given", "delivery"),
    [
        ({}, "exactly_once"),
        ({"dead_letters": DEAD}, "exactly_once"),
        ({"delivery": "at_least_once"}, "at_least_once"),
        ({"sink": "kafka://other:1/out"}, "at_least_once"),
        ({"dead_letters": "dead.jsonl"}, "at_least_once"),
        ({"source": "in.jsonl"}, "at_least_once"),
        ({"sink": "-"}, "at_least_once"),
    ],
)
def test_exactly_once_where_it_can_be(given: dict[str, Any], delivery: str) -> None:
    ends = connect(options(**given))
    assert ends.delivery == delivery
    assert ends.why
    if isinstance(ends.source, KafkaFrom):
        assert source_of(ends).subscription.exactly_once == (delivery == "exactly_once")


@pytest.mark.parametrize(
    ("source", "sink", "dead", "delivery"),
    [
        ("", "?compression_type=gzip&linger_ms=200", None, "at_least_once"),
        ("", "", "?compression_type=gzip", "at_least_once"),
        ("?linger_ms=5", "?linger_ms=200", "", "at_least_once"),
        ("?producer_linger_ms=200", "?linger_ms=200", None, "exactly_once"),
        # Used, as those of the source.
        ("?compression_type=gzip&fetch_max_wait_ms=20", "", None, "exactly_once"),
        # No producer has it.
        ("", "?consumer_client_id=x", None, "exactly_once"),
    ],
)
def test_producer_settings_of_a_sink_are_never_passed_over(
    source: str, sink: str, dead: str | None, delivery: str
) -> None:
    given = {
        "source": IN + source,
        "sink": OUT + sink,
        "dead_letters": None if dead is None else DEAD + dead,
    }
    ends = connect(options(**given))
    assert ends.delivery == delivery
    if delivery == "at_least_once":
        name = "linger_ms" if "linger_ms" in sink else "compression_type"
        assert name in ends.why
        assert "on the source" in ends.why
        with pytest.raises(ConfigurationError, match=f"exactly_once .*{name}.*--kafka_config"):
            connect(options(**given, delivery="exactly_once"))


def test_another_user_for_the_sink_is_not_passed_over(tmp_path: Path) -> None:
    for name in ("reader", "writer"):
        text = f"sasl.username={name}\nsasl.password=word-of-{name}\n"
        (tmp_path / f"{name}.properties").write_text(text)
    given = {
        "sink": f"{OUT}?config={tmp_path}/writer.properties",
        "kafka_config": str(tmp_path / "reader.properties"),
    }
    ends = connect(options(**given))
    assert ends.delivery == "at_least_once"
    assert "sasl_plain_username" in ends.why
    assert "word-of" not in ends.why
    with pytest.raises(ConfigurationError, match="sasl_plain_password, sasl_plain_username"):
        connect(options(**given, delivery="exactly_once"))


@pytest.mark.parametrize(
    ("source", "format", "expected", "bounded"),
    [
        ("in.jsonl", None, "json", True),
        ("in.csv", None, "csv", True),
        ("in.csv", "text", "text", True),
        ("-", None, "json", False),
        ("-", "text", "text", False),
    ],
)
def test_the_format(source: str, format: str | None, expected: str, bounded: bool) -> None:
    ends = connect(options(source, "-", format=format), local=False)
    assert ends.source.run.news.format == expected
    assert ends.source.bounded == bounded


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"sink": IN}, "--sink 'kafka://h:1/in' is also the source"),
        ({"sink": "kafka://x:1,h:1/in"}, "also the source"),
        ({"dead_letters": IN}, "--dead_letters .* is also the source"),
        ({"dead_letters": OUT}, "--dead_letters .* is also the sink"),
        ({"source": "a.jsonl", "sink": "a.jsonl"}, "also the source"),
        ({"sink": "a.jsonl", "dead_letters": "a.jsonl"}, "also the sink"),
        ({"sink": "kafka://h:1/a,b"}, "2 topics: give one"),
        ({"sink": OUT + "?group=g"}, "group is for sources only"),
        ({"delivery": "maybe"}, "'maybe'"),
        ({"delivery": "exactly_once", "sink": "-"}, "exactly_once"),
        ({"shards": 0}, "shards=0"),
        ({"source": IN + "?start=soon"}, "'soon'"),
        ({"source": IN + "?no_such_setting=1"}, "'no_such_setting'"),
        ({"kafka_config": "nowhere.properties"}, "nowhere.properties"),
        ({"source": "gopher://x"}, "gopher"),
    ],
)
def test_combinations_that_cannot_be(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        connect(options(**given))


def test_one_properties_file_for_one_endpoint(tmp_path: Path) -> None:
    for name in ("all", "sink"):
        (tmp_path / f"{name}.properties").write_text(f"client_id={name}\n")
    ends = connect(
        options(
            sink=f"{OUT}?config={tmp_path}/sink.properties",
            kafka_config=str(tmp_path / "all.properties"),
        )
    )
    assert source_of(ends).subscription.settings.for_client("consumer")["client_id"] == "all"
    assert topics_of(ends)[0].settings.for_client("producer")["client_id"] == "sink"


# ---- the graph over them ---------------------------------------------------------------------------


def test_from_file_to_files(tmp_path: Path) -> None:
    source, sink = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = {"id": "a", "title": "Striker scores twice as hosts win the cup final"}
    source.write_text(json.dumps(good) + '\n{"id": "b"\n')
    asked = options(str(source), str(sink))
    with local_pipeline() as p:
        build(p, asked, connect(asked))
    [item] = map(categorized_from_json, sink.read_bytes().splitlines())
    assert (item.id, item.category, item.fields) == ("a", "Sports", good)
    [letter] = map(
        dead_letter_from_json, (tmp_path / "out.dead_letters.jsonl").read_bytes().splitlines()
    )
    assert letter.message.value == b'{"id": "b"'


def test_kafka_to_kafka_builds() -> None:
    asked = options()
    pipeline = beam.Pipeline(runner="FnApiRunner")
    build(pipeline, asked, connect(asked))
    labels = {transform.full_label for transform in pipeline.transforms_stack[0].parts}
    assert labels == {"Read news", "Classify news", "Write results"}


# ---- what the source says of its records -----------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "settings", "expected"),
    [
        ("a.csv", {}, ("csv", None, None, None)),
        ("a.csv?columns=a,b", {}, ("csv", ("a", "b"), None, None)),
        ("a.csv", {"columns": ("a", " b")}, ("csv", ("a", "b"), None, None)),
        ("a.csv?columns=a", {"columns": ("c",), "delimiter": "tab"}, ("csv", ("a",), "\t", None)),
        ("news", {"columns": ("a",)}, ("csv", ("a",), None, None)),
        ("a.csv?format=text", {}, ("text", None, None, None)),
        ("a.csv?format=text", {"format": "json"}, ("json", None, None, None)),
        ("-", {}, ("json", None, None, None)),
        ("-?columns=a", {}, ("csv", ("a",), None, None)),
        ("-", {"columns": ("a",)}, ("csv", ("a",), None, None)),
        ("-", {"items": "articles"}, ("json", None, None, "articles")),
        ("a.json?items=r.docs", {}, ("json", None, None, "r.docs")),
        (IN, {"format": "csv", "columns": ("a",)}, ("csv", ("a",), None, None)),
        (IN + "?columns=a,b", {}, ("csv", ("a", "b"), None, None)),
    ],
)
def test_what_records_are(source: str, settings: dict[str, Any], expected: tuple) -> None:
    news = connect(options(source, **settings)).source.run.news
    assert (news.format, news.columns, news.delimiter, news.items) == expected


@pytest.mark.parametrize(
    ("source", "sink", "settings", "named"),
    [
        (IN, OUT, {"format": "csv"}, "--columns"),
        (IN, OUT, {"items": "articles"}, "'articles'"),
        (IN, OUT, {"columns": ("a", "")}, "empty name"),
        ("-?columns=a", OUT, {"format": "json"}, "not of json"),
        ("a.jsonl", OUT, {"columns": ("a",)}, "not of json.*--format csv"),
        ("-", OUT, {"delimiter": "tabs"}, "'tabs'"),
        ("-", OUT, {"items": "a..b"}, "'a..b'"),
        (IN, "out.jsonl?columns=a", {}, "out.jsonl.columns=a.*sources only"),
        (IN, OUT + "?columns=a", {}, "columns is for sources only"),
    ],
)
def test_what_records_cannot_be(
    source: str, sink: str, settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        connect(options(source, sink, **settings))
