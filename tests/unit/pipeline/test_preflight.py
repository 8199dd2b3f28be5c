"""Preflight: each fault is found before anything starts, and named with its fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition

from pipeline.demo.broker import EmbeddedBroker
from pipeline.options import RunOptions
from pipeline.preflight import check
from pipeline.run import beam_options
from transforms.errors import ConfigurationError


def checked(source: str, sink: str, *beam_args: str, **others: Any) -> Any:
    return check(RunOptions(source, sink, **others), beam_options(beam_args))


@pytest.fixture
def news(tmp_path: Path) -> str:
    path = tmp_path / "news.jsonl"
    path.write_bytes(b"{}\n")
    return str(path)


def test_files_that_are_fine(news: str, tmp_path: Path) -> None:
    ends = checked(news, str(tmp_path / "out.jsonl"))
    assert not ends.source.bounded
    assert checked(
        news, str(tmp_path / "out.jsonl"), "--runner=FlinkRunner", "--job_endpoint=h:1"
    ).source.bounded


@pytest.mark.parametrize(
    ("source", "sink", "others", "named"),
    [
        ("{tmp}/none-*.jsonl", "-", {}, "--source .*none-.* matches no file"),
        ("{news}", "{tmp}/no/out.jsonl", {}, "--sink .*/no/out.jsonl.*can't write"),
        ("{news}", "{tmp}", {}, "--sink .* is also the source"),
        ("{news}", "{tmp}/news.jsonl/d/", {}, "--sink .*can.t write"),
        ("{news}", "-", {"dead_letters": "{tmp}/no/d.jsonl"}, "--dead_letters .*can't write"),
    ],
)
def test_files_that_cannot_be(
    news: str, tmp_path: Path, source: str, sink: str, others: dict[str, str], named: str
) -> None:
    def fill(text: str) -> str:
        return text.format(news=news, tmp=tmp_path)

    with pytest.raises(ConfigurationError, match=named):
        checked(fill(source), fill(sink), **{k: fill(v) for k, v in others.items()})


@pytest.mark.parametrize(
    "flags",
    [["--direct_num_workers=2"], ["--direct_running_mode=multi_threading"]],
)
def test_a_runner_that_loses_records_is_refused(news: str, flags: list[str]) -> None:
    with pytest.raises(ConfigurationError, match=flags[0].partition("=")[0]):
        checked(news, "-", *flags)


def uri(broker: EmbeddedBroker, topic: str) -> str:
    return f"kafka://{broker.bootstrap_servers}/{topic}"


def test_topics_that_are_there(embedded_broker: EmbeddedBroker, topics: Callable[..., str]) -> None:
    source, sink, dead = (topics(name) for name in ("in", "out", "dead"))
    ends = checked(
        uri(embedded_broker, source),
        uri(embedded_broker, sink),
        dead_letters=uri(embedded_broker, dead),
        delivery="at_least_once",
    )
    assert [written.topic.name for written in ends.written] == [sink, dead]


@pytest.mark.parametrize("missing", ["--source", "--sink", "--dead_letters"])
def test_a_topic_that_is_missing_is_named(
    embedded_broker: EmbeddedBroker, topics: Callable[..., str], missing: str
) -> None:
    names = {flag: topics("t") for flag in ("--source", "--sink", "--dead_letters")}
    names[missing] = "no-such-topic"
    source, sink, dead = (uri(embedded_broker, name) for name in names.values())
    with pytest.raises(ConfigurationError, match=f"{missing}.*'no-such-topic'.*create it"):
        checked(source, sink, dead_letters=dead, delivery="at_least_once")


def test_missing_sinks_are_created_where_asked(
    embedded_broker: EmbeddedBroker, topics: Callable[..., str], unique: Callable[[str], str]
) -> None:
    source, sink = uri(embedded_broker, topics("in")), uri(embedded_broker, unique("out"))
    checked(source, sink, create_topics=True, delivery="at_least_once")
    checked(source, sink, delivery="at_least_once")
    with pytest.raises(ConfigurationError, match="no-such-topic"):
        checked(uri(embedded_broker, "no-such-topic"), sink, create_topics=True)


@pytest.mark.parametrize(
    ("delivery", "query", "named"),
    [
        ("exactly_once", "?max_in_flight_requests_per_connection=10", "connection=10"),
        ("exactly_once", "?producer_retries=0", "retries=0"),
        ("exactly_once", "?compression_type=nonsense", "nonsense; compression_type takes"),
        ("at_least_once", "?compression_type=nonsense", "nonsense; compression_type takes"),
    ],
)
def test_settings_that_no_producer_takes_end_it_before_it_starts(
    embedded_broker: EmbeddedBroker,
    topics: Callable[..., str],
    delivery: str,
    query: str,
    named: str,
) -> None:
    source, sink, dead = (uri(embedded_broker, topics(n)) + query for n in ("in", "out", "dead"))
    with pytest.raises(ConfigurationError, match=f"can't be used with these settings.*{named}"):
        checked(source, sink, dead_letters=dead, delivery=delivery)


def test_stop_at_end_notes_where_topics_end(
    embedded_broker: EmbeddedBroker, topics: Callable[..., str]
) -> None:
    from transforms.kafka.settings import KafkaSettings

    topic = topics("in", partitions=2)
    producer = KafkaSettings.of(embedded_broker.bootstrap_servers, environment={}).producer()
    for _ in range(3):
        producer.send(topic, b"{}", partition=1)
    producer.flush()
    producer.close()
    ends = checked(uri(embedded_broker, topic), "-", stop_at_end=True)
    assert ends.source.source.subscription.end == {
        TopicPartition(topic, 0): 0,
        TopicPartition(topic, 1): 3,
    }
    assert checked(uri(embedded_broker, topic), "-").source.source.subscription.end is None
