"""A small stand-in for Dataflow's API: takes jobs, and tells of them what a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JOB = "2026-01-31_04_00_00-1234567890"
#: The states of a job, by their numbers.
_STATES = (
    "UNKNOWN",
    "STOPPED",
    "RUNNING",
    "DONE",
    "FAILED",
    "CANCELLED",
    "UPDATED",
    "DRAINING",
    "DRAINED",
)


@dataclass
class FakeDataflow:
    """The API, on `localhost`: by this name Beam speaks REST and stages in local folders.

    Attributes:
        states: What each look at the job tells, the last one from then on: `RUNNING`, `DONE`, …
        messages: What the job says: importance (`ERROR`) and text.
        counts: newsbeam's counters.
        jobs: The jobs that were created, as JSON.
        updates: What was asked of the job: `DRAINING`, …
        drained: What its state is from a drain on; None: it takes none.
        refuses: The status and text of the answer to a new job, where none is taken.
    """

    states: list[str] = field(default_factory=lambda: ["PENDING", "RUNNING", "DONE"])
    messages: list[tuple[str, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    updates: list[str] = field(default_factory=list)
    drained: str | None = "DRAINED"
    refuses: tuple[int, str] | None = None
    looked: threading.Event = field(default_factory=threading.Event)
    endpoint: str = ""

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """The status and content of an answer."""
        where = path.partition("?")[0].rstrip("/")
        if method == "POST" and where.endswith("/jobs"):
            if self.refuses:
                status, message = self.refuses
                return status, {"error": {"code": status, "message": message}}
            self.jobs.append(body)
            return 200, {"id": JOB, "name": body["name"], "currentState": "JOB_STATE_PENDING"}
        if where.endswith("/messages"):
            told = [
                {
                    "id": str(i),
                    "time": f"2026-01-31T12:00:{i:02}Z",
                    "messageText": text,
                    "messageImportance": f"JOB_MESSAGE_{importance}",
                }
                for i, (importance, text) in enumerate(self.messages)
            ]
            return 200, {"jobMessages": told}
        if where.endswith("/metrics"):
            return 200, {"metrics": [_metric(n, c) for n, c in self.counts.items()]}
        if where.endswith(f"/jobs/{JOB}"):
            if method == "PUT":
                # Google's client gives numbers of enums.
                self.updates.append(_STATES[body["requestedState"]])
                if self.drained:
                    self.states = ["DRAINING", self.drained]
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            self.looked.set()
            return 200, {"id": JOB, "currentState": f"JOB_STATE_{state}"}
        return 404, {"error": {"code": 404, "message": f"nothing at {where}"}}


def _metric(name: str, count: int) -> dict[str, Any]:
    context = {"namespace": "newsbeam", "step": "s3"}
    return {"name": {"origin": "user", "name": name, "context": context}, "scalar": count}


@contextmanager
def serve_dataflow() -> Iterator[FakeDataflow]:
    """Serves it for as long as the block lasts."""
    fake = FakeDataflow()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            status, content = fake.answer(self.command, self.path, body)
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _do  # noqa: N815 - as http.server calls them

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.endpoint = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
