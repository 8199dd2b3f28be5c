"""A small BigQuery over HTTP: datasets, tables with schemas, streaming inserts, and faults on demand.

It speaks what Google's client says to the real one, for the calls that we make, and takes rows only that
fit their table, as the real one does. Rows of an insert id that it has seen are dropped.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

Row = dict[str, Any]
_PATH = re.compile(
    r"/bigquery/v2/projects/(?P<project>[^/]+)/datasets/(?P<dataset>[^/?]+)"
    r"(?P<tables>/tables(?:/(?P<table>[^/:?]+)(?P<call>[:/]\w+)?)?)?(\?.*)?"
)


class Fault(NamedTuple):
    """An answer in place of the right one.

    Attributes:
        status: Its HTTP status.
        reason: Why, as BigQuery says it.
        taken: Whether the rows are taken all the same: the answer is lost.
    """

    status: int
    reason: str
    taken: bool = False


class Table:
    """A table, and what was sent to it.

    Attributes:
        resource: What it was created as.
        rows: What it holds.
    """

    def __init__(self, resource: Row) -> None:
        self.resource = resource
        self.rows: list[Row] = []
        self.ids: set[str] = set()

    @property
    def fields(self) -> list[Row]:
        return self.resource["schema"]["fields"]


class BigQueryFake:
    """A BigQuery on a port of this machine.

    Attributes:
        tables: The tables, by `project.dataset.table`.
        faults: Answers to the next inserts, in place of the right ones.
        always: The answer to every call, in place of the right one.
        row_errors: Says why a row is refused, as `(reason, message)`; None where it is taken.
        permissions: What whoever calls may do to tables.
        calls: What was called, as `METHOD what`.
        batches: How many rows each insert had.
        most_bytes: The largest request that it takes, in bytes.
        held: Set when an insert is held up: see `hold`.
    """

    def __init__(self, *datasets: str) -> None:
        self.datasets = set(datasets)
        self.tables: dict[str, Table] = {}
        self.faults: list[Fault] = []
        self.always: Fault | None = None
        self.row_errors: Callable[[Row], tuple[str, str] | None] = lambda row: None
        self.permissions = {"bigquery.tables.updateData"}
        self.calls: list[str] = []
        self.batches: list[int] = []
        self.most_bytes = 10 << 20
        self.held = threading.Event()
        self._hold_in: int | None = None
        self._hold_taken = False
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def hold(self, after: int, taken: bool) -> None:
        """Never answers an insert.

        Args:
            after: How many are answered before it.
            taken: Whether its rows are taken.
        """
        with self.lock:
            self._hold_in, self._hold_taken = after, taken
            self.held.clear()

    def holds(self) -> bool | None:
        """Whether an insert that comes now is held up with its rows taken; None if it is not held."""
        if self._hold_in is None:
            return None
        self._hold_in -= 1
        if self._hold_in >= 0:
            return None
        self._hold_in = None
        return self._hold_taken

    def rows(self, table: str) -> list[Row]:
        """What a table holds by now."""
        with self.lock:
            return list(self.tables[table].rows)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextlib.contextmanager
def bigquery_fake(*datasets: str) -> Iterator[BigQueryFake]:
    """Runs one with these datasets, as `project.dataset`."""
    fake = BigQueryFake(*datasets)
    try:
        yield fake
    finally:
        fake.close()


class _Handler(BaseHTTPRequestHandler):
    fake: BigQueryFake
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, data: bytes) -> None:
        found = _PATH.fullmatch(self.path)
        assert found is not None, self.path
        what = (found["call"] or ("/table" if found["table"] else found["tables"] or "/dataset"))[
            1:
        ]
        fake = self.fake
        with fake.lock:
            fake.calls.append(f"{self.command} {what}")
            held = fake.holds() if what == "insertAll" else None
            if held is False:
                fake.held.set()
                return self._hang_up()
            fault = fake.always
            if fault is None and what == "insertAll" and fake.faults:
                fault = fake.faults.pop(0)
            if fault is not None and not fault.taken:
                status, answer = fault.status, _error(fault.status, fault.reason, "as asked")
            else:
                status, answer = self._called(what, found, data)
            if fault is not None and fault.taken:
                status, answer = fault.status, _error(fault.status, fault.reason, "as asked")
        if held:
            fake.held.set()
            return self._hang_up()
        body = json.dumps(answer).encode()
        with contextlib.suppress(OSError):  # who asked was killed
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def _hang_up(self) -> None:
        """Waits until whoever has asked is gone."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.rfile.read(1)

    def _called(self, what: str, found: re.Match[str], data: bytes) -> tuple[int, Any]:
        fake = self.fake
        dataset = f"{found['project']}.{found['dataset']}"
        if dataset not in fake.datasets:
            return 404, _error(404, "notFound", f"Not found: Dataset {dataset}")
        reference = {"projectId": found["project"], "datasetId": found["dataset"]}
        if what == "dataset":
            return 200, {"id": dataset, "datasetReference": reference}
        if what == "tables":
            resource = json.loads(data)
            name = f"{dataset}.{resource['tableReference']['tableId']}"
            if name in fake.tables:
                return 409, _error(409, "duplicate", f"Already Exists: Table {name}")
            fake.tables[name] = Table(resource)
            return 200, resource
        table = fake.tables.get(f"{dataset}.{found['table']}")
        if table is None:
            return 404, _error(404, "notFound", f"Not found: Table {dataset}.{found['table']}")
        reference["tableId"] = found["table"]
        if what == "testIamPermissions":
            return 200, {"permissions": sorted(fake.permissions)}
        if what == "table":
            return 200, {"type": "TABLE", "tableReference": reference, **table.resource}
        if len(data) > fake.most_bytes:
            return 413, _error(413, "uploadTooLarge", "Request Entity Too Large")
        return self._insert(table, json.loads(data))

    def _insert(self, table: Table, request: Any) -> tuple[int, Any]:
        self.fake.batches.append(len(request["rows"]))
        assert request["skipInvalidRows"]
        errors = []
        for index, entry in enumerate(request["rows"]):
            row, id = entry["json"], entry["insertId"]
            wrong = self.fake.row_errors(row) or misfit(row, table.fields)
            if wrong is not None:
                reason, message = wrong
                errors.append({"index": index, "errors": [{"reason": reason, "message": message}]})
            elif id is None or id not in table.ids:
                table.ids |= {id} - {None}
                table.rows.append(row)
        return 200, {"insertErrors": errors} if errors else {}


def _error(status: int, reason: str, message: str) -> Row:
    of_it = [{"reason": reason, "message": message}]
    return {"error": {"code": status, "message": message, "errors": of_it}}


def misfit(row: Row, fields: list[Row]) -> tuple[str, str] | None:
    """Why a row does not fit a schema, as BigQuery says it."""
    there = {field["name"]: field for field in fields}
    for name in row:
        if name not in there:
            return "invalid", f"no such field: {name}."
    for name, field in there.items():
        value, mode = row.get(name), field.get("mode", "NULLABLE")
        if mode == "REPEATED":
            if not isinstance(value, list):
                return "invalid", f"Array specified for non-repeated field: {name}."
            values = value
        elif value is None:
            if mode == "REQUIRED":
                return "invalid", f"Missing required field: {name}."
            continue
        else:
            values = [value]
        for each in values:
            wrong = _wrong(each, field)
            if wrong is not None:
                return wrong
    return None


def _wrong(value: Any, field: Row) -> tuple[str, str] | None:
    kind = field["type"]
    if kind == "RECORD":
        return misfit(value, field["fields"])
    try:
        good = _CHECKS[kind](value)
    except ValueError:
        good = False
    return None if good else ("invalid", f"Cannot convert {field['name']} to {kind}: {value!r}")


def _is_time(value: Any) -> bool:
    return datetime.fromisoformat(value).tzinfo is not None


def _is_json(value: Any) -> bool:
    def exact(number: str) -> int:
        if not -(2**63) <= int(number) < 2**64:
            raise ValueError(number)
        return int(number)

    json.loads(value, parse_int=exact)
    return True


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "STRING": lambda value: isinstance(value, str),
    "INT64": lambda value: -(2**63) <= int(value) < 2**63,
    "FLOAT64": lambda value: isinstance(value, float | int),
    "BOOL": lambda value: isinstance(value, bool),
    "BYTES": lambda value: base64.b64decode(value, validate=True) is not None,
    "TIMESTAMP": _is_time,
    "JSON": _is_json,
}
