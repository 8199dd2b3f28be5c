"""Endpoints by URI: what each says, what none says, and that no password shows in an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.ends.files.end import FileEnd
from pipeline.ends.kafka.end import KafkaEnd
from pipeline.ends.kinds import parse
from pipeline.ends.records import Records
from pipeline.ends.std import StdEnd
from tests.unit.strategies import topic_names
from transforms.errors import ConfigurationError
from transforms.news_settings import NewsSettings

hosts = st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True) | st.sampled_from(
    ["127.0.0.1", "[::1]"]
)
servers = st.lists(st.tuples(hosts, st.integers(1, 65535)), min_size=1, max_size=3)
groups = st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True)


@given(servers, st.lists(topic_names, min_size=1, max_size=3), st.none() | groups)
def test_kafka(servers: list[tuple[str, int]], topics: list[str], group: str | None) -> None:
    netloc = ",".join(f"{host}:{port}" for host, port in servers)
    uri = f"kafka://{netloc}/{','.join(topics)}" + (f"?group={group}" if group else "")
    query = {"group": group} if group else {}
    assert parse(uri) == KafkaEnd(uri, netloc, tuple(topics), query)


def test_kafka_with_settings() -> None:
    found = parse("kafka://h:1/a?group=g%20x&start=2026-01-31T12:00:00Z&client_id=me@home")
    assert isinstance(found, KafkaEnd)
    assert found.query == {"group": "g x", "start": "2026-01-31T12:00:00Z", "client_id": "me@home"}


def test_client_settings_of_a_topic(tmp_path: Path) -> None:
    for name in ("all", "own"):
        (tmp_path / f"{name}.properties").write_text(f"client_id={name}\nlinger_ms=7\n")
    for_all = str(tmp_path / "all.properties")

    def settings(query: str) -> dict[str, Any]:
        endpoint = parse(f"kafka://h:1/a{query}")
        assert isinstance(endpoint, KafkaEnd)
        return endpoint.settings(for_all).for_client("producer")

    assert settings("?group=g&start=latest&isolation_level=read_uncommitted") == {
        "bootstrap_servers": ["h:1"],
        "client_id": "all",
        "linger_ms": 7,
    }
    assert settings("?client_id=uri")["client_id"] == "uri"
    assert settings(f"?config={tmp_path}/own.properties")["client_id"] == "own"
    with pytest.raises(ConfigurationError, match="'shards' in the URI"):
        settings("?shards=3")


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("kafka://h/t", "'h'.*host:port"),
        ("kafka://h:0/t", "'h:0'"),
        ("kafka://h:65536/t", "'h:65536'"),
        ("kafka://h:²/t", "'h:²'"),
        ("kafka://h:1,/t", "host:port"),
        ("kafka:///t", "host:port"),
        ("kafka:h:1/t", "host:port"),
        ("kafka://h:1", "no topic"),
        ("kafka://h:1/", "no topic"),
        ("kafka://h:1/a b", "'a b'"),
        ("kafka://h:1/a/b", "'a/b'"),
        ("kafka://h:1/..", "'..'"),
        ("kafka://h:1/a#b", "'a#b'"),
        ("kafka://h:1/" + "a" * 250, "no topic name"),
        ("kafka://h:1/t?group=a&group=b", "group stands twice"),
        ("kafka://[::1/t", r"\[::1/t"),
        ("rabbit://h/t", "unknown scheme 'rabbit'.*kafka://"),
        ("file:x.jsonl", "file:///path"),
        ("file://", "names no file"),
        ("file:///a.jsonl?colour=red", "'colour'"),
        ("file:///a.jsonl?format=xml", "'xml'.*json, text, csv"),
        ("", "empty.*kafka://"),
    ],
)
def test_a_uri_that_cannot_work_is_named_with_the_fix(uri: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as caught:
        parse(uri)
    assert "\n" not in str(caught.value)


@given(st.text() | st.text().map("kafka://".__add__) | st.text().map("file://".__add__))
@example("kafka://h:1/\ud800")
def test_any_text_is_an_endpoint_or_a_clear_error(text: str) -> None:
    try:
        found = parse(text)
    except ConfigurationError:
        return
    assert isinstance(found, KafkaEnd | FileEnd | StdEnd)
    assert found.uri == text


passwords = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=20)


@given(
    passwords.map(lambda p: f"Q7{p}7Q"),
    st.sampled_from(
        [
            "kafka://me:{}@h:1/t",
            "kafka://me:{}@h/t",
            "kafka+ssl://me:{}@h:1/t",
            "kafka://h:1,me:{}@g:1/t",
        ]
    ),
)
def test_a_password_before_the_host_never_shows(password: str, form: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(form.format(password))
    assert password not in str(caught.value)
    assert not re.search("Q7.*7Q", str(caught.value))


@pytest.mark.parametrize(
    "uri",
    [
        "kafka://h:1/t?sasl_plain_password=hunter-two",
        "kafka://h/t?sasl_plain_password=hunter-two",
        "kafka://h:1/?sasl.plain.password=hunter-two&group=g",
        "kafka://h:1/t?ssl_password=hunter-two&ssl_password=hunter-two",
        "kafkaa://h:1/t?group=g&ssl_password=hunter-two",
    ],
)
def test_a_password_in_the_query_never_shows(uri: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(uri)
    assert "hunter" not in str(caught.value)


# ---- files, stdin and stdout -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "path", "format"),
    [
        ("news.jsonl", "news.jsonl", "json"),
        ("news.jsonl.gz", "news.jsonl.gz", "json"),
        ("/a/News.CSV", "/a/News.CSV", "csv"),
        ("news.txt", "news.txt", "text"),
        ("news", "news", "json"),
        ("what?.txt", "what?.txt", "text"),
        ("in/*.csv", "in/*.csv", "csv"),
        ("file:///a/b.jsonl", "/a/b.jsonl", "json"),
    ],
)
def test_files(uri: str, path: str, format: str) -> None:
    assert parse(uri) == FileEnd(uri, path)
    assert parse(uri).news(NewsSettings()).format == format


@pytest.mark.parametrize(
    ("uri", "path", "format", "records"),
    [
        ("file://b.csv?format=text", "b.csv", "text", Records("text")),
        ("b.csv?format=text", "b.csv", "text", Records("text")),
        ("file:///a.csv?columns=label,title", "/a.csv", "csv", Records(None, ("label", "title"))),
        ("train.csv?columns=class, title", "train.csv", "csv", Records(None, ("class", "title"))),
        ("./d/*.csv?columns=a", "./d/*.csv", "csv", Records(None, ("a",))),
        ("~/a?.csv?columns=a", "~/a?.csv", "csv", Records(None, ("a",))),
        ("news?columns=a,b", "news", "csv", Records(None, ("a", "b"))),
        ("a.csv?delimiter=;", "a.csv", "csv", Records(delimiter=";")),
        ("a.csv?delimiter=tab&columns=a,b", "a.csv", "csv", Records(None, ("a", "b"), "\t")),
        ("a.json?items=r.docs", "a.json", "json", Records(items="r.docs")),
    ],
)
def test_what_a_uri_says_of_records(uri: str, path: str, format: str, records: Records) -> None:
    found = parse(uri)
    assert isinstance(found, FileEnd)
    assert (found.path, found.records) == (path, records)
    assert parse(uri).news(NewsSettings()).format == format


def test_a_file_of_exactly_that_name_is_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv?columns=b").touch()
    assert parse("a.csv?columns=b").path == "a.csv?columns=b"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("a.csv?colums=a", "'colums'.*format, columns, delimiter and items"),
        ("a.csv?columns=a,,b", "empty name"),
        ("a.csv?columns=", "empty name"),
        ("a.csv?columns=a,b, a", "'a' twice"),
        ("a.csv?delimiter=tabs", "'tabs'.*one character, or tab"),
        ("-?columns=a,a", "twice"),
        ("-?group=a", "'group'"),
        ("kafka://h:1/t?columns=a,", "empty name"),
        ("a.csv?format=xml", "'xml'"),
    ],
)
def test_what_a_uri_cannot_say_of_records(uri: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        parse(uri)


def test_columns_of_stdin_and_topics() -> None:
    assert parse("-?columns=a,b").records == Records(None, ("a", "b"))
    topic = parse("kafka://h:1/t?format=csv&columns=a,b&delimiter=%09&client_id=x")
    assert topic.records == Records("csv", ("a", "b"), "\t")
    assert isinstance(topic, KafkaEnd)
    assert "columns" not in topic.settings().for_client("consumer")


def test_stdin_and_stdout() -> None:
    assert parse("-") == StdEnd("-")
