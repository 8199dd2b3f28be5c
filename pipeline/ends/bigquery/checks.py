"""Checks BigQuery before a pipeline starts: rights, the dataset, the table, which it creates."""

from __future__ import annotations

import logging

from google.api_core import exceptions
from google.cloud import bigquery
from google.cloud.bigquery import DEFAULT_RETRY

from transforms.bigquery.client import BigQueryTable
from transforms.bigquery.faults import ERRORS, said
from transforms.bigquery.schema import ITEM_COLUMNS, LETTER_COLUMNS, Column, differences
from transforms.errors import ConfigurationError

log = logging.getLogger("newsbeam")

#: How long the service may take, trouble that heals included, in seconds.
PATIENCE = 10.0
_RETRY = DEFAULT_RETRY.with_timeout(PATIENCE)
_WRITE = "bigquery.tables.updateData"
_GRANT = "grant the account roles/bigquery.dataEditor on the dataset"


def check_table(
    table: BigQueryTable, flag: str, *, letters: bool, partition_by: str, look_only: bool = False
) -> None:
    """Checks that a table can be written; creates it where it is missing.

    Args:
        table: The table.
        flag: The flag that names it.
        letters: Whether it is for dead letters, and not for items.
        partition_by: How it is partitioned by time, if it is created: `hour`, `day`, `month`, `year`
            or `none`.
        look_only: Say that it would be created, and leave it.

    Raises:
        ConfigurationError: It can't be written.
    """
    columns = LETTER_COLUMNS if letters else ITEM_COLUMNS
    try:
        client = table.client()
        try:
            found = client.get_table(table.name, retry=_RETRY, timeout=PATIENCE)
        except exceptions.NotFound:
            _check_dataset(client, table, flag)
            if look_only:
                log.info("%s: table %s would be created", flag, table.name)
                return
            _create(client, table, columns, letters=letters, partition_by=partition_by)
            return
        _check_columns(found, table, flag, columns)
        _check_rights(client, table, flag)
    except exceptions.Forbidden as e:
        raise ConfigurationError(
            f"{flag}: no right to table {table.name} ({said(e)}): {_GRANT}"
        ) from None
    except ERRORS as e:
        raise ConfigurationError(f"{flag}: BigQuery, table {table.name}: {said(e)}") from None


def _check_dataset(client: bigquery.Client, table: BigQueryTable, flag: str) -> None:
    try:
        client.get_dataset(f"{table.project}.{table.dataset}", retry=_RETRY, timeout=PATIENCE)
    except exceptions.NotFound:
        raise ConfigurationError(
            f"{flag}: no dataset {table.dataset!r} in project {table.project!r}: create it (bq mk "
            f"--dataset {table.project}:{table.dataset}), or check the project's id"
        ) from None


def _check_columns(
    found: bigquery.Table, table: BigQueryTable, flag: str, columns: tuple[Column, ...]
) -> None:
    if found.table_type != "TABLE":
        raise ConfigurationError(
            f"{flag}: {table.name} is a {found.table_type}: name a table, or one that is not there "
            "yet"
        )
    if wrong := list(differences(columns, found.schema)):
        raise ConfigurationError(
            f"{flag}: table {table.name} has another schema: {'; '.join(wrong)}: change it (ALTER "
            "TABLE), or name one that is not there yet"
        )


def _check_rights(client: bigquery.Client, table: BigQueryTable, flag: str) -> None:
    try:
        allowed = client.test_iam_permissions(
            table.name, [_WRITE], retry=_RETRY, timeout=PATIENCE
        ).get("permissions", [])
    except exceptions.GoogleAPICallError as e:
        log.debug("asking for rights to %s: %s", table.name, e)  # Not everybody may ask.
        return
    if _WRITE not in allowed:
        raise ConfigurationError(f"{flag}: no right to write to {table.name} ({_WRITE}): {_GRANT}")


def _create(
    client: bigquery.Client,
    table: BigQueryTable,
    columns: tuple[Column, ...],
    *,
    letters: bool,
    partition_by: str,
) -> None:
    made = bigquery.Table(table.name, schema=[column.field() for column in columns])
    time, cluster = ("time", "stage") if letters else ("event_time", "category")
    if partition_by != "none":
        made.time_partitioning = bigquery.TimePartitioning(type_=partition_by.upper(), field=time)
    made.clustering_fields = [cluster]
    made.description = f"{'Dead letters' if letters else 'News, categorized'} by newsbeam"
    client.create_table(made, exists_ok=True, retry=_RETRY, timeout=PATIENCE)
    log.info("created table %s", table.name)
