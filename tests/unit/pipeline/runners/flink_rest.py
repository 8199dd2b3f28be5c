"""A small fake of Flink's REST interface: jobs that a test moves from state to state."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

TRACE = """\
java.lang.Exception: Caught exception while processing timer.
\tat org.apache.flink.streaming.runtime.tasks.StreamTask.invoke(StreamTask.java:1)
Caused by: java.util.concurrent.ExecutionException: java.lang.RuntimeException: Error received from SDK \
harness for instruction 7: Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1498, in apache_beam.runners.common.DoFnRunner.process
  File "x.py", line 3, in poll
{line}

\tat java.base/java.util.concurrent.CompletableFuture.reportGet(Unknown Source)
Caused by: java.lang.RuntimeException: Error received from SDK harness
"""


class FakeFlink:
    """Flink's REST interface on 127.0.0.1.

    Attributes:
        jobs: Each job by its id, as `/jobs/overview` has it; `stop` and `cancel` change its state.
        configuration: The job manager's.
        user_config: The pipeline options of jobs.
        checkpoints: What `/jobs/ID/checkpoints` answers.
        exceptions: Stack traces of jobs, the newest first.
        metrics: Of the second stage, by `SUBTASK.STEP.NAME`.
        savepoint: Where the next savepoint goes; an exception's trace where there is none.
        refusals: How often `stop` is refused before it works.
        asked: Method and path of all requests, in order.
        on_stop: Called when a savepoint is asked for.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.configuration = {
            "state.savepoints.dir": "file:///savepoints",
            "state.checkpoints.dir": "file:///checkpoints",
        }
        self.version = "1.19.3"
        self.slots = 4
        self.user_config: dict[str, dict[str, str]] = {}
        self.checkpoints: dict[str, Any] = {"counts": {}, "latest": {}}
        self.exceptions: dict[str, list[str]] = {}
        self.metrics: dict[str, Any] = {}
        self.savepoint: str | Exception = "file:///savepoints/savepoint-1"
        self.refusals = 0
        self.asked: list[str] = []
        self.bodies: list[Any] = []
        self.on_stop: Callable[[], None] = lambda: None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def address(self) -> str:
        """For `--flink_master`."""
        return f"127.0.0.1:{self._server.server_port}"

    def add(self, id: str, name: str = "newsbeam", state: str = "RUNNING", started: int = 1) -> str:
        """Adds a job, all of whose tasks are in its state."""
        self.jobs[id] = {
            "jid": id,
            "name": name,
            "state": state,
            "start-time": started,
            "duration": 65_000,
            "tasks": {"total": 3, state.lower(): 3},
        }
        return id

    def becomes(self, id: str, state: str) -> None:
        """Moves a job to another state."""
        self.jobs[id] = {
            **self.jobs[id],
            "state": state,
            "tasks": {"total": 3, state.lower(): 3},
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Answers no more."""
        self._server.shutdown()
        self._server.server_close()

    # Inside

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        """What Flink would say: a status, and JSON."""
        for allowed, pattern, reply in self._routes():
            if method == allowed and (match := re.fullmatch(pattern, path)):
                return reply(query, body, *match.groups())
        return 404, {"errors": [f"Not found: {path}"]}

    def _routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        slots = {"taskmanagers": 1, "slots-total": 4, "slots-available": self.slots}
        config = [{"key": k, "value": v} for k, v in self.configuration.items()]
        jobs = {"jobs": list(self.jobs.values())}
        stage = {"id": "v2", "name": "[8]{Read news}", "parallelism": 2, "status": "RUNNING"}
        first = {"id": "v1", "name": "Source: Impulse", "parallelism": 1, "status": "RUNNING"}
        subtasks = [
            {"subtask": n, "status": "RUNNING", "endpoint": f"host-{n}:1", "attempt": n}
            for n in range(2)
        ]
        names = [{"id": name} for name in self.metrics]

        def metrics(query: dict[str, list[str]], body: Any, *_: str) -> Any:
            if "get" not in query:
                return 200, names
            asked = query["get"][0].split(",")
            return 200, [{"id": name, "value": str(self.metrics[name])} for name in asked]

        def exceptions(query: Any, body: Any, id: str) -> Any:
            traces = self.exceptions.get(id, [])
            entries = [{"stacktrace": trace} for trace in traces]
            root = traces[0] if traces else None
            return 200, {"root-exception": root, "exceptionHistory": {"entries": entries}}

        def user_config(query: Any, body: Any, id: str) -> Any:
            return 200, {"execution-config": {"user-config": self.user_config.get(id, {})}}

        job = "/jobs/([0-9a-z]+)"
        return [
            ("GET", "/config", lambda q, b: (200, {"flink-version": self.version})),
            ("GET", "/overview", lambda q, b: (200, slots)),
            ("GET", "/jobmanager/config", lambda q, b: (200, config)),
            ("GET", "/jobs/overview", lambda q, b: (200, jobs)),
            ("GET", job, lambda q, b, job: (200, {"vertices": [first, stage]})),
            ("GET", f"{job}/config", user_config),
            ("GET", f"{job}/checkpoints", lambda q, b, job: (200, self.checkpoints)),
            ("GET", f"{job}/exceptions", exceptions),
            ("GET", f"{job}/vertices/v1/metrics", lambda q, b, job: (200, [])),
            ("GET", f"{job}/vertices/v2/metrics", metrics),
            ("GET", f"{job}/vertices/v2", lambda q, b, job: (200, {"subtasks": subtasks})),
            ("POST", f"{job}/stop", self._stop),
            ("GET", f"{job}/savepoints/t", self._savepoint),
            ("PATCH", job, self._cancel),
            ("POST", "/savepoint-disposal", lambda q, b: (202, {"request-id": "d"})),
        ]

    def _stop(self, query: Any, body: Any, id: str) -> Any:
        self.on_stop()
        if self.refusals:
            self.refusals -= 1
            return 409, {"errors": ["org.apache.flink.X: Job is restarting."]}
        return 202, {"request-id": "t"}

    def _savepoint(self, query: Any, body: Any, id: str) -> Any:
        done = {"status": {"id": "COMPLETED"}}
        if isinstance(self.savepoint, Exception):
            cause = {"failure-cause": {"stack-trace": str(self.savepoint)}}
            return 200, {**done, "operation": cause}
        self.becomes(id, "FINISHED")
        return 200, {**done, "operation": {"location": self.savepoint}}

    def _cancel(self, query: Any, body: Any, id: str) -> Any:
        self.becomes(id, "CANCELED")
        return 202, {}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def _do(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                fake.asked.append(f"{self.command} {parts.path}")
                fake.bodies.append(body)
                status, said = fake.answer(self.command, parts.path, parse_qs(parts.query), body)
                data = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = _do  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        return Handler
