"""Writes outcomes to a table, with Beam's own `BigQueryWriteFn`, in the stage that reads.

Beam's whole transform, `WriteToBigQuery`, shuffles rows before it inserts them (streaming inserts), or
loads files now and then: either way the stage that reads is done, and the source committed, before
anything is in the table. What was measured on FnApiRunner: the source is committed first, and nothing is
inserted while an endless stream goes on. The DoFn inside it has neither fault: it inserts in
`process` and `finish_bundle`, and says which rows were refused.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import Any

from apache_beam.io.gcp.bigquery import BigQueryDisposition, BigQueryWriteFn, RetryStrategy
from apache_beam.transforms.window import GlobalWindows

from transforms.bigquery.client import BigQueryTable
from transforms.bigquery.faults import BigQueryFailure
from transforms.bigquery.insert import PatientInserts, reason_of
from transforms.bigquery.rows import insert_id, size_of, to_row
from transforms.records import DeadLetter, Message, Outcome, categorized_to_json, dead_letter
from transforms.tally import TALLY
from transforms.writing import Sink, Writer

STAGE = "WriteToBigQuery"
#: How much is written at once: rows, as Google advises, and bytes.
ROWS, BYTES = 500, 5 << 20


class RowRefused(ValueError):
    """BigQuery does not take a row."""


class BigQuerySink(Sink):
    """A table, written at least once; BigQuery drops what it has just seen, as well as it can.

    It has to be there, with the columns of what is written (`schema`): items, or dead letters.

    Args:
        table: The table.
    """

    def __init__(self, table: BigQueryTable) -> None:
        self._table = table

    def writer(self) -> BigQueryWriter:
        return BigQueryWriter(self._table, PatientInserts(self._table))


class BigQueryWriter(Writer):
    """Inserts rows as they come; `flush` returns when all of them were taken or refused."""

    def __init__(self, table: BigQueryTable, inserts: PatientInserts) -> None:
        self._name = table.name
        self._destination = f"{table.project}:{table.dataset}.{table.table}"
        self._fn = _InsertRows(
            batch_size=ROWS,
            create_disposition=BigQueryDisposition.CREATE_NEVER,
            # `PatientInserts` does that.
            retry_strategy=RetryStrategy.RETRY_NEVER,
            # There is one table, and batches are of so many rows; this counts over failed bundles.
            max_buffered_rows=sys.maxsize,
            test_client=inserts,
        )
        self.forget()

    def forget(self) -> None:
        #: Outcomes by the identity of their rows, which Beam gives back as it got them.
        self._taken: dict[int, tuple[dict[str, Any], Outcome]] = {}
        self._bytes = 0
        self._letters: list[DeadLetter] = []
        self._fn.start_bundle()

    def add(self, outcome: Outcome) -> None:
        try:
            row = to_row(outcome)
            self._bytes += size_of(row)
        except ValueError as e:
            self._refuse(outcome, f"it can't be a row: {e}")
            return
        self._taken[id(row)] = (row, outcome)
        element = (self._destination, (row, insert_id(outcome)))
        self._sort_out(self._fn.process(element, _WINDOWED) or ())

    @property
    def full(self) -> bool:
        return len(self._taken) >= ROWS or self._bytes >= BYTES

    def flush(self) -> Iterable[DeadLetter]:
        self._sort_out(self._fn.finish_bundle())
        letters = self._letters
        self.forget()
        return letters

    def _sort_out(self, outputs: Iterable[Any]) -> None:
        """Makes dead letters of the rows that Beam gives back."""
        for output in outputs:
            if output.tag == BigQueryWriteFn.FAILED_ROWS_WITH_ERRORS:
                _, row, errors = output.value.value
                self._refuse(self._taken[id(row)][1], reason_of(errors))

    def _refuse(self, outcome: Outcome, why: str) -> None:
        if isinstance(outcome, DeadLetter):
            # It has no other place to go.
            raise BigQueryFailure(f"table {self._name} does not take a dead letter: {why}")
        message = outcome.message
        if message is None:  # made in memory: all that there is of it is its result
            message = Message(categorized_to_json(outcome), source=outcome.source)
        error = RowRefused(f"table {self._name} does not take it: {why}")
        letter = dead_letter(message, STAGE, error, outcome.model)
        TALLY.dead_after_all(outcome.category, letter.stage)
        self._letters.append(letter)


class _InsertRows(BigQueryWriteFn):
    """Beam's, but that rows are measured as they are sent: as JSON, in bytes.

    Beam walks all objects that a row refers to, and for that all modules of the process, each time: that
    took 0.7 ms a row, nearly half of what the model does.
    """

    def _check_row_size(self, row_and_insert_id: tuple[Any, Any]) -> tuple[int, str | None]:
        size, most = size_of(row_and_insert_id[0]), self._max_insert_payload_size
        return (
            size,
            None if size < most else f"it has {size} bytes as JSON; less than {most} will do",
        )


#: What Beam wants to know of an element, and gives back.
_WINDOWED = GlobalWindows.windowed_value(None)


class _ToldElsewhere(logging.Filter):
    """Keeps back what Beam says of refused rows, all of them in one line: they are dead letters."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("There were errors inserting to BigQuery")


logging.getLogger("apache_beam.io.gcp.bigquery").addFilter(_ToldElsewhere())
