"""Runs into tables of a BigQuery that loses answers, refuses rows, and whose clients are killed."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL

import pytest

from pipeline.demo.poison import POISON
from tests.integration.harness import (
    Sent,
    Topics,
    finished,
    mixed,
    refused,
    running,
    short,
    succeeded,
)
from tests.servers.bigquery import BigQueryFake, Fault, Row, bigquery_fake
from transforms.bigquery.client import EMULATOR

ITEMS, DEAD = "my-project.news.items", "my-project.news.items_dead_letters"
MODEL = ("--model", str(Path(__file__).parents[2] / "models" / "ag_news_mini"))


@pytest.fixture
def bigquery(monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryFake]:
    with bigquery_fake("my-project.news") as fake:
        monkeypatch.setenv(EMULATOR, fake.url)
        yield fake


def args(topics: Topics, *more: str) -> list[str]:
    """From a topic to tables."""
    source = f"kafka://{topics.servers}/{topics.news}?group={topics.group}&fetch_max_wait_ms=20"
    return ["run", "--source", source, "--sink", f"bigquery://{ITEMS}", *MODEL, *more]


def place(row: Row) -> str:
    source = json.loads(row["source"])
    return f"{source['topic']}-{source['partition']}@{source['offset']}"


def places(fake: BigQueryFake) -> Counter[str]:
    """How often each message is in either table."""
    return Counter(place(row) for name in (ITEMS, DEAD) for row in fake.rows(name))


def test_a_file_becomes_a_table(bigquery: BigQueryFake, tmp_path: Path) -> None:
    news = tmp_path / "news.jsonl"
    lines = [json.dumps({"id": f"n{i}", "title": f"Cup {i}"}) for i in range(40)] + ["no json"]
    news.write_text("\n".join(lines))
    too_old = "Value for field event_time is outside the allowed bounds"
    bigquery.row_errors = lambda row: ("invalid", too_old) if row.get("id") == "n7" else None
    bigquery.faults = [Fault(503, "backendError", taken=True), Fault(500, "internalError")]
    done = succeeded("run", "--source", str(news), "--sink", f"bigquery://{ITEMS}", *MODEL)
    assert "created table my-project.news.items" in done.stderr
    assert "There were errors" not in done.stderr
    assert Counter(row["id"] for row in bigquery.rows(ITEMS)) == Counter(
        f"n{i}" for i in range(40) if i != 7
    )
    by_stage = {row["stage"]: row for row in bigquery.rows(DEAD)}
    assert by_stage.keys() == {"ParseNews", "WriteToBigQuery"}
    assert base64.b64decode(by_stage["ParseNews"]["value"]) == b"no json"
    refused_row = by_stage["WriteToBigQuery"]
    assert json.loads(base64.b64decode(refused_row["value"])) == {"id": "n7", "title": "Cup 7"}
    assert refused_row["error"] == f"table {ITEMS} does not take it: invalid: {too_old}"


def test_news_and_poison_come_out_once_each_and_whole(
    bigquery: BigQueryFake, embedded: Topics
) -> None:
    messages = mixed(320)
    assert {p.value for p in POISON} <= {m.value for m in messages}
    sent = embedded.produce(messages)
    done = succeeded(*args(embedded, "--stop_at_end"))
    assert "delivery at least once: source, sink and dead letters are not one" in done.stderr
    assert places(bigquery) == Counter(sent.keys())
    for row in bigquery.rows(ITEMS):
        message = sent[place(row)]
        assert not message.dead
        assert json.loads(row["fields"]) == json.loads(message.value, parse_int=narrow)
        assert_carries_on(message, row)
    for row in bigquery.rows(DEAD):
        message = sent[place(row)]
        assert message.dead
        assert (base64.b64decode(row["value"] or ""), row["stage"]) == (message.value, "ParseNews")
        assert_carries_on(message, row)


def narrow(number: str) -> int | str:
    """An integer as BigQuery's JSON can hold it."""
    return int(number) if -(2**63) <= int(number) < 2**64 else number


def assert_carries_on(message: Sent, row: Row) -> None:
    key = None if row["key"] is None else base64.b64decode(row["key"])
    headers = tuple((h["name"], base64.b64decode(h["value"])) for h in row["headers"])
    assert (key, headers) == (message.key, message.headers)


def test_five_kills_lose_nothing(bigquery: BigQueryFake, embedded: Topics, tmp_path: Path) -> None:
    """Rows of an insert whose answer never came are sent again under the same ids: no doubles here."""
    sent = embedded.produce(short(3000))
    for kill in range(5):
        bigquery.hold(after=1, taken=kill % 2 == 0)
        with running(args(embedded), tmp_path) as process:
            process.wait_for(bigquery.held.is_set, "an insert in flight")
            process.signal(SIGKILL)
            process.wait()
    # What was committed by then is in the table.
    assert len(bigquery.rows(ITEMS)) < len(sent)
    succeeded(*args(embedded, "--stop_at_end"))
    assert places(bigquery) == Counter(sent.keys())
    assert sum(bigquery.batches) > len(sent)


@pytest.mark.long
def test_on_prism_a_kill_loses_nothing(
    bigquery: BigQueryFake, embedded: Topics, tmp_path: Path, prism: Path
) -> None:
    sent = embedded.produce(short(1000))
    on_prism = args(embedded, "--runner=PrismRunner", f"--prism_location={prism}")
    bigquery.hold(after=1, taken=False)
    with running(on_prism, tmp_path) as process:
        process.wait_for(bigquery.held.is_set, "an insert in flight")
        process.signal_group(SIGKILL)
        process.wait()
    succeeded(*on_prism, "--stop_at_end")
    assert places(bigquery) == Counter(sent.keys())


def test_it_drains(bigquery: BigQueryFake, embedded: Topics, tmp_path: Path) -> None:
    sent = embedded.produce(short(50))
    with running(args(embedded), tmp_path) as process:
        process.wait_for(
            lambda: ITEMS in bigquery.tables and len(bigquery.rows(ITEMS)) == 50, "rows"
        )
        process.drain()
    assert places(bigquery) == Counter(sent.keys())
    done = succeeded(*args(embedded, "--stop_at_end"))
    assert "newsbeam: 0 records in" in done.stderr


def test_a_right_that_is_gone_ends_it_in_one_line(bigquery: BigQueryFake, embedded: Topics) -> None:
    sent = embedded.produce(short(20))
    bigquery.faults = [Fault(403, "accessDenied")]
    done = finished(*args(embedded, "--stop_at_end"))
    assert (done.code, done.error) == (1, f"newsbeam: can't write to {ITEMS}: as asked")
    # Nothing was committed: the next run has all of it.
    succeeded(*args(embedded, "--stop_at_end"))
    assert places(bigquery) == Counter(sent.keys())


def test_what_can_not_be_is_refused_in_one_line(bigquery: BigQueryFake, embedded: Topics) -> None:
    bigquery.datasets.clear()
    assert "no dataset 'news' in project 'my-project'" in refused(*args(embedded))
