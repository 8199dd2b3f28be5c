"""From any kind of source to any kind of sink, by the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL

import pyarrow.parquet as pq
import pytest

from tests.integration.ends import (
    AT_LEAST_ONCE,
    MODEL,
    Ends,
    all_out,
    assert_came_out,
    came_out,
    files_of,
    places,
)
from tests.integration.harness import Sent, Topics, mixed, running, short, succeeded
from tests.integration.pubsub import News
from tests.servers.pubsub import PROJECT, PubSubServer
from tests.servers.schema_registry import SchemaRegistryServer

COUNT = 200


@pytest.fixture
def ends(
    embedded: Topics,
    pubsub: PubSubServer,
    unique: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Ends:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.address)
    return Ends(embedded, News(pubsub, unique("t")), tmp_path)


@pytest.mark.parametrize("sink", ["kafka", "pubsub", "jsonl"])
def test_from_pubsub_until_sigterm(ends: Ends, tmp_path: Path, sink: str) -> None:
    sent = ends.send("pubsub", mixed(COUNT))
    with running(ends.args("pubsub", sink), tmp_path) as process:
        process.wait_for(all_out(ends, sink, sent), "all to come out")
        done = process.drain()
    assert done.stderr.count(AT_LEAST_ONCE) == 1
    assert_came_out(ends.outcomes(sink), sent)
    assert ends.news.left() == [], "acknowledged"


@pytest.mark.parametrize(
    ("source", "sink"), [("kafka", "pubsub"), ("kafka", "parquet"), ("files", "pubsub")]
)
def test_to_the_end(ends: Ends, source: str, sink: str) -> None:
    sent = ends.send(source, mixed(COUNT))
    flags = ("--stop_at_end",) if source == "kafka" else ()
    done = succeeded(*ends.args(source, sink, *flags))
    assert done.stderr.count(AT_LEAST_ONCE) == 1
    assert_came_out(ends.outcomes(sink), sent)


def test_messages_without_data_are_dead_letters(ends: Ends, tmp_path: Path) -> None:
    sent = ends.send("pubsub", [Sent(b"") for _ in range(3)])
    with running(ends.args("pubsub", "pubsub"), tmp_path) as process:
        process.wait_for(all_out(ends, "pubsub", sent), "all to come out")
        process.drain()
    assert {outcome.message.value for _, outcome in ends.outcomes("pubsub")} == {b""}  # type: ignore


def test_sigterm_in_the_middle_of_pubsub(ends: Ends, tmp_path: Path) -> None:
    """What was read comes out and is acknowledged; the rest is given back, and comes out at once."""
    sent = ends.send("pubsub", short(2_000))
    args = ends.args("pubsub", "pubsub", "--max_outstanding", "500")
    with running(args, tmp_path) as process:
        process.wait_for(lambda: ends.outcomes("pubsub"), "first outcomes")
        process.drain()
    first = places(ends.outcomes("pubsub"))
    assert 0 < len(first) == first.total() < len(sent)
    with running(args, tmp_path) as process:
        process.wait_for(all_out(ends, "pubsub", sent), "the rest to come out")
        process.drain()
    assert_came_out(ends.outcomes("pubsub"), sent)


def test_a_folder_over_kill_9(ends: Ends, tmp_path: Path) -> None:
    sent = ends.send("kafka", [*short(3_000), *mixed(COUNT)])
    args = ends.args("kafka", "parquet")
    for _ in range(2):
        before = len(ends.outcomes("parquet"))
        with running(args, tmp_path) as process:
            process.wait_for(
                lambda before=before: len(ends.outcomes("parquet")) > before, "files to appear"
            )
            process.signal_group(SIGKILL)
            process.wait()
    succeeded(*args, "--stop_at_end")
    assert_came_out(ends.outcomes("parquet"), sent, once=False)


def test_folders_by_category_and_hour(ends: Ends) -> None:
    ends.send("kafka", mixed(COUNT))
    succeeded(*ends.args("kafka", "parquet", "--stop_at_end"))
    files = files_of(ends.folder / "out")
    for file in files:
        category, hour = file.relative_to(ends.folder / "out").parts[:2]
        rows = pq.ParquetFile(file).read().to_pylist()
        assert "category" not in rows[0]  # it is in the folder's name, once
        for row in rows:
            scores = dict(row["scores"])
            assert scores[category.removeprefix("category=").replace("%2F", "/")] == row["score"]
            assert max(scores.values()) == row["score"]
            assert f"hour={row['event_time']:%Y-%m-%dT%H}" == hour
    assert len({file.parent.parent for file in files}) == 4


def test_consume_looks_and_takes_nothing(ends: Ends) -> None:
    server, news = ends.news.server, ends.news
    server.create_subscription(f"{news.out}-sub", news.out)
    server.create_subscription(f"{news.dead}-sub", news.dead)
    sent = ends.send("kafka", mixed(COUNT))
    succeeded(*ends.args("kafka", "pubsub", "--stop_at_end"))
    dead = sum(message.dead for message in sent.values())
    for name, count in ((f"{news.out}-sub", len(sent) - dead), (f"{news.dead}-sub", dead)):
        for _ in range(2):
            limit = ("--limit", str(count), "--format", "json")
            done = succeeded("consume", f"pubsub://{PROJECT}/{name}", *limit)
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            assert len(lines) == count
            assert all(("category" in line) == (count != dead) for line in lines)
            assert done.stderr == ""
    table = succeeded("consume", f"pubsub://{PROJECT}/{news.out}-sub", "--limit", "20").stdout
    assert "Sports" in table
    assert len(server.drain(f"{news.out}-sub")) == len(sent) - dead


def test_consume_of_a_subscription_that_goes_away(ends: Ends, tmp_path: Path) -> None:
    server, name = ends.news.server, f"{ends.news.out}-sub"
    server.create_subscription(name, ends.news.out)
    server.publish(ends.news.out, [b"nothing of ours"])
    with running(["consume", f"pubsub://{PROJECT}/{name}", "--follow"], tmp_path) as process:
        process.wait_for(lambda: "is neither a categorized item" in process.log, "a record")
        server.delete_subscription(name)
        done = process.wait()
    assert done.code == 1
    _, line = done.stderr.splitlines()
    assert "does not exist" in line


@pytest.mark.parametrize("sink", ["kafka", "pubsub"])
def test_avro_is_read_back(ends: Ends, schema_registry: SchemaRegistryServer, sink: str) -> None:
    server, news, topics = ends.news.server, ends.news, ends.topics
    server.create_subscription(f"{news.out}-sub", news.out)
    sent = ends.send("kafka", short(20))
    to, letters = ends.sinks[sink]
    query = f"schema_registry={schema_registry.url}"
    succeeded(
        *("run", "--source", ends.sources["kafka"], "--sink", f"{to}?format=avro&{query}"),
        # The embedded broker knows no transactions.
        *("--dead_letters", letters, *MODEL, "--stop_at_end", "--delivery", "at_least_once"),
    )
    written = {
        "kafka": f"kafka://{topics.servers}/{topics.out}",
        "pubsub": f"pubsub://{PROJECT}/{news.out}-sub",
    }[sink]
    look = ("--limit", "20", "--format", "json")
    done = succeeded("consume", f"{written}?{query}", *look)
    items = [json.loads(line) for line in done.stdout.splitlines()]
    assert {item["id"] for item in items} == {f"n{n}" for n in range(len(sent))}
    assert all(item["scores"][item["category"]] == item["score"] for item in items)
    # Without the registry it is said what they are.
    if sink == "kafka":
        assert "give ?schema_registry=URL" in succeeded("consume", written).stderr


def test_key_and_headers_stay(ends: Ends) -> None:
    sent = ends.send("kafka", mixed(60))
    succeeded(*ends.args("kafka", "pubsub", "--stop_at_end"))
    written = list(ends.written("pubsub"))
    assert len(written) == len(sent)
    for got in written:
        message = sent[came_out(got).place]
        assert got.key == message.key
        # Beside those of its own; those that come twice keep their order.
        assert {*message.headers} <= {*got.headers}
        assert [h for h in got.headers if h[0] == "hop"] == [("hop", b"\x00\xff"), ("hop", b"")]
