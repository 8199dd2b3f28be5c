"""Inserts rows with patience: what is given back is final.

Beam's `BigQueryWriteFn` calls one method of Google's client and takes whatever that raises for a fault
of all rows, which then would be dead letters for want of a right, or a connection. So it is given this
in place of that client: it waits out what heals, ends the pipeline where nothing will, and gives back
only rows that are refused for what they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.api_core.exceptions import BadRequest, GoogleAPICallError, NotFound

from transforms.bigquery.client import BigQueryTable
from transforms.bigquery.faults import ERRORS, TRANSIENT, BigQueryFailure, Patience, heals, said

#: How long a table that was there before the start may be missing, in seconds: inserts come to know of a
#: new table some time after it was created.
NEW_TABLE = 300.0
#: How long the service may take to answer, in seconds.
_TIMEOUT = 60.0
_TOO_LARGE = 413
#: Why a row is refused whose request was.
_REQUEST = "badRequest"

Errors = list[dict[str, Any]]


class NotTaken(Exception):
    """Rows were not taken, though nothing is wrong with them."""


class PatientInserts:
    """What Beam calls as Google's client.

    Args:
        table: The table that is written.
        clock: Gives seconds that never go back.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        table: BigQueryTable,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._table = table
        self._sleep = sleep
        self._clock = clock

    def insert_rows_json(
        self,
        table: str,
        json_rows: Sequence[Mapping[str, Any]],
        row_ids: Sequence[str | None],
        **how: Any,
    ) -> list[dict[str, Any]]:
        """Inserts rows; returns those that the table does not take, as Google's client does.

        Raises:
            BigQueryFailure: The table can't be written.
        """
        # What Beam thinks of time is for a call that is not tried again.
        how.pop("timeout", None)

        def insert(indices: Sequence[int]) -> dict[int, Errors]:
            rows, ids = [json_rows[i] for i in indices], [row_ids[i] for i in indices]
            found = self._table.client().insert_rows_json(
                table, rows, ids, retry=None, timeout=_TIMEOUT, **how
            )
            return {indices[each["index"]]: each["errors"] for each in found}

        refused = self._persist(insert, range(len(json_rows)))
        reasons = [errors[0].get("reason") for errors in refused.values()]
        if len(json_rows) > 1 and reasons == [_REQUEST] * len(json_rows):
            # It is not for what one of them is.
            why = refused[0][0]["message"]
            raise BigQueryFailure(f"can't write to {self._table.name}: {why}")
        return [{"index": i, "errors": errors} for i, errors in sorted(refused.items())]

    def _persist(
        self, insert: Callable[[Sequence[int]], dict[int, Errors]], indices: Sequence[int]
    ) -> dict[int, Errors]:
        """Inserts until each row is either taken or refused; returns the latter."""
        patience = Patience(f"inserting into {self._table.name}", self._clock, self._sleep)
        began = self._clock()
        refused: dict[int, Errors] = {}
        while indices:
            try:
                failed = insert(indices)
            except ERRORS as e:
                if _of_rows(e):
                    return refused | self._apart(insert, indices, e)
                is_new = isinstance(e, NotFound) and self._clock() - began < NEW_TABLE
                if not (is_new or heals(e)):
                    raise self._failure(e) from e
                self._wait(patience, e)
                continue
            again = [i for i, errors in failed.items() if _is_transient(errors)]
            refused |= {i: errors for i, errors in failed.items() if not _is_transient(errors)}
            if again and len(again) == len(indices):
                # Nothing has moved; otherwise it was others' fault, maybe.
                self._wait(patience, NotTaken(reason_of(failed[again[0]])))
            indices = again
        return refused

    def _failure(self, error: BaseException) -> BigQueryFailure:
        return BigQueryFailure(f"can't write to {self._table.name}: {said(error)}")

    def _wait(self, patience: Patience, error: Exception) -> None:
        try:
            patience.wait(error)
        except Exception as e:
            # The pipeline is draining, and has been patient. Beam would make dead letters of what
            # Google's client raises.
            raise self._failure(e) from e

    def _apart(
        self,
        insert: Callable[[Sequence[int]], dict[int, Errors]],
        indices: Sequence[int],
        error: Exception,
    ) -> dict[int, Errors]:
        """Inserts the halves of what was refused as a whole: it may be for one row."""
        if len(indices) == 1:
            return {indices[0]: [{"reason": _REQUEST, "message": said(error)}]}
        middle = len(indices) // 2
        first = self._persist(insert, indices[:middle])
        return first | self._persist(insert, indices[middle:])


def _of_rows(error: BaseException) -> bool:
    """Whether a request was refused for what its rows are."""
    return isinstance(error, BadRequest) or (
        isinstance(error, GoogleAPICallError) and error.code == _TOO_LARGE
    )


def _is_transient(errors: Errors) -> bool:
    return all(error.get("reason") in TRANSIENT for error in errors)


def reason_of(errors: Errors | str) -> str:
    """Why a row was refused, in one line."""
    if isinstance(errors, str):
        return errors
    return "; ".join(
        f"{error.get('reason', 'refused')}"
        + (f" at {error['location']}" if error.get("location") else "")
        + (f": {error['message']}" if error.get("message") else "")
        for error in errors
    )
