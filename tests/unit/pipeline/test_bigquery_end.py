"""Tables as ends: their URIs, and what is found before anything starts, each fault in one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.ends.bigquery import checks, end
from pipeline.ends.bigquery.end import BigQueryEnd, BigQueryTo
from pipeline.ends.kinds import parse
from pipeline.options import RunOptions
from pipeline.preflight import check
from pipeline.run import beam_options
from tests.servers.bigquery import BigQueryFake, Fault, Table, bigquery_fake
from transforms.bigquery.client import EMULATOR, BigQueryTable, close_clients
from transforms.bigquery.schema import ITEM_COLUMNS
from transforms.errors import ConfigurationError

URI = "bigquery://my-project.news.items"


@pytest.fixture
def bigquery(monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQueryFake]:
    with bigquery_fake("my-project.news") as fake:
        monkeypatch.setenv(EMULATOR, fake.url)
        yield fake
        close_clients()


@pytest.fixture
def news(tmp_path: Path) -> str:
    path = tmp_path / "news.jsonl"
    path.write_bytes(b"{}\n")
    return str(path)


def checked(source: str, sink: str, **others: Any) -> Any:
    return check(RunOptions(source, sink, **others), beam_options([]))


# ---- URIs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("my-project.news.items", ("my-project", "news", "items")),
        ("example.com:legacy.n_1.All-items", ("example.com:legacy", "n_1", "All-items")),
        ("p1.news.items%20of%202026", ("p1", "news", "items of 2026")),
    ],
)
def test_a_uri(name: str, parts: tuple[str, str, str]) -> None:
    found = parse(f"bigquery://{name}")
    assert isinstance(found, BigQueryEnd)
    assert (found.project, found.dataset, found.table, found.partition_by) == (*parts, "day")
    queried = parse(f"BigQuery://{name}?partition_by=month")
    assert isinstance(queried, BigQueryEnd)
    assert queried.partition_by == "month"
    assert queried.is_same_place(found)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("bigquery://", "names no table: write bigquery://PROJECT.DATASET.TABLE"),
        ("bigquery://news.items", "names no table"),
        ("bigquery://my-project/news/items", "names no table"),
        ("bigquery://My-Project.news.items", "in lower case"),
        ("bigquery://my-project.my-data.items", "names no table"),
        ("bigquery://my-project.news.items$20260101", "names no table"),
        (URI + "?method=file_loads", "'method' in .* is unknown: .* takes partition_by"),
        (URI + "?partition_by=week", "partition_by='week' .* is unknown: give hour, day"),
        (URI + "?partition_by=day&partition_by=day", "stands twice"),
    ],
)
def test_what_is_no_uri(uri: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        parse(uri)


def test_it_is_among_the_forms() -> None:
    with pytest.raises(
        ConfigurationError, match=r"give kafka://.*, bigquery://project.dataset.table,"
    ):
        parse("nats://a/b")


def test_dead_letters_go_beside_it() -> None:
    beside = parse(URI + "?partition_by=none").beside()
    assert isinstance(beside, BigQueryEnd)
    assert beside == parse("bigquery://my-project.news.items_dead_letters")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"source": URI, "sink": "-"}, "--source .* can only be written to"),
        (
            {"source": "{news}", "sink": URI, "dead_letters": URI},
            "--dead_letters .* is also the sink",
        ),
        ({"source": "{news}", "sink": URI, "delivery": "exactly_once"}, "in one Kafka cluster"),
    ],
    ids=["source", "dead_letters", "exactly_once"],
)
def test_what_it_can_not_be(
    bigquery: BigQueryFake, news: str, options: dict[str, str], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        checked(**{name: value.format(news=news) for name, value in options.items()})
    assert bigquery.calls == []


# ---- checks ----------------------------------------------------------------------------------------


def test_tables_are_created(bigquery: BigQueryFake, news: str) -> None:
    ends = checked(news, URI)
    assert isinstance(ends.sinks[0][1], BigQueryTo)
    assert (ends.delivery, ends.source.bounded) == ("at_least_once", False)
    assert bigquery.tables.keys() == {
        "my-project.news.items", "my-project.news.items_dead_letters",
    }  # fmt: skip
    items = bigquery.tables["my-project.news.items"].resource
    assert items["timePartitioning"] == {"type": "DAY", "field": "event_time"}
    assert items["clustering"] == {"fields": ["category"]}
    letters = bigquery.tables["my-project.news.items_dead_letters"].resource
    assert letters["timePartitioning"] == {"type": "DAY", "field": "time"}
    assert letters["clustering"] == {"fields": ["stage"]}
    # And what was created is taken the next time.
    before = len(bigquery.calls)
    checked(news, URI)
    assert "POST tables" not in bigquery.calls[before:]


def test_how_tables_are_partitioned(bigquery: BigQueryFake, news: str) -> None:
    for how in ("hour", "month", "year", "none"):
        checked(news, f"bigquery://my-project.news.by_{how}?partition_by={how}", dead_letters="-")
    found = {
        name.rpartition(".")[2]: table.resource.get("timePartitioning", {}).get("type")
        for name, table in bigquery.tables.items()
    }
    assert found == {"by_hour": "HOUR", "by_month": "MONTH", "by_year": "YEAR", "by_none": None}


def refusal(news: str, **others: Any) -> str:
    with pytest.raises(ConfigurationError) as raised:
        checked(news, URI, **others)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_no_dataset(bigquery: BigQueryFake, news: str) -> None:
    bigquery.datasets.clear()
    assert refusal(news) == (
        "--sink: no dataset 'news' in project 'my-project': create it (bq mk --dataset "
        "my-project:news), or check the project's id"
    )


def test_no_right_to_see(bigquery: BigQueryFake, news: str) -> None:
    bigquery.always = Fault(403, "accessDenied")
    assert refusal(news) == (
        "--sink: no right to table my-project.news.items (as asked): grant the account "
        "roles/bigquery.dataEditor on the dataset"
    )


def test_no_right_to_write(bigquery: BigQueryFake, news: str) -> None:
    checked(news, URI)
    bigquery.permissions.clear()
    assert refusal(news).startswith(
        "--sink: no right to write to my-project.news.items (bigquery.tables.updateData): grant"
    )


def test_another_schema(bigquery: BigQueryFake, news: str) -> None:
    fields = [column.field().to_api_repr() for column in ITEM_COLUMNS if column.name != "labels"]
    next(field for field in fields if field["name"] == "score")["type"] = "STRING"
    bigquery.tables["my-project.news.items"] = Table({"schema": {"fields": fields}})
    assert refusal(news) == (
        "--sink: table my-project.news.items has another schema: score is STRING, not FLOAT64; it "
        "has no column labels REPEATED STRING: change it (ALTER TABLE), or name one that is not "
        "there yet"
    )


def test_a_view(bigquery: BigQueryFake, news: str) -> None:
    bigquery.tables["my-project.news.items"] = Table({"type": "VIEW", "schema": {"fields": []}})
    assert "my-project.news.items is a VIEW: name a table" in refusal(news)


def test_an_emulator_that_is_not_there(
    bigquery: BigQueryFake, news: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_RETRY", checks._RETRY.with_timeout(0.1))
    bigquery.close()
    assert refusal(news) == (
        "--sink: BigQuery, table my-project.news.items: no connection (ConnectionError)"
    )


def test_no_credentials(news: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EMULATOR, raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    # Whoever runs this on a machine of Google's has credentials.
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    assert refusal(news) == (
        "--sink: BigQuery, table my-project.news.items: no credentials: run `gcloud auth "
        "application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
    )


def test_a_file_of_credentials_that_is_none(
    news: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(EMULATOR, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    assert "GOOGLE_APPLICATION_CREDENTIALS" in refusal(news)


def test_without_googles_client(news: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(end, "_NEEDED", ("google.cloud.bigquery", "google.no_such.thing"))
    assert refusal(news) == f"--sink {URI!r} needs Google's client: pip install 'newsbeam[gcp]'"


def test_workers_need_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMULATOR, "http://127.0.0.1:9050")
    table = BigQueryTable.from_environment("p", "d", "t")
    monkeypatch.delenv(EMULATOR)
    assert table.client()._connection.API_BASE_URL == "http://127.0.0.1:9050"
    close_clients()
