"""A BigQuery with an empty dataset, and its tables as a run makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pipeline.ends.bigquery.checks import check_table
from tests.servers.bigquery import BigQueryFake, bigquery_fake
from transforms.bigquery.client import BigQueryTable, close_clients


@pytest.fixture
def bigquery() -> Iterator[BigQueryFake]:
    with bigquery_fake("my-project.news") as fake:
        yield fake
        close_clients()


@pytest.fixture
def table(bigquery: BigQueryFake) -> Callable[[str], BigQueryTable]:
    """Makes a table of items; of dead letters where its name is `dead`."""

    def make(name: str) -> BigQueryTable:
        made = BigQueryTable("my-project", "news", name, bigquery.url)
        check_table(made, "--sink", letters=name == "dead", partition_by="day")
        return made

    return make
