"""The client of Flink's REST interface."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipeline.runners.flink.rest import (
    FlinkRefused,
    FlinkRest,
    NoSavepoint,
    Unreachable,
    url_of,
)
from tests.unit.pipeline.runners.flink_rest import FakeFlink
from transforms.errors import ConfigurationError


@pytest.fixture
def rest(flink: FakeFlink) -> FlinkRest:
    return FlinkRest(flink.address)


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("a:1", "http://a:1"),
        (" http://a:1/ ", "http://a:1"),
        ("https://a/x", "https://a/x"),
        ("[::1]:1", "http://[::1]:1"),
        ("a_b", "http://a_b"),
    ],
)
def test_the_address(said: str, url: str) -> None:
    assert url_of(said) == url


@pytest.mark.parametrize(
    "said", ["", "http://", "[local]", "a b:1", "a:99999", "a:0", "a:b", "ftp://a:1", "[::1:1"]
)
def test_what_is_no_address(said: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address: give HOST:PORT"):
        FlinkRest(said)


def test_jobs_are_listed_newest_first(flink: FakeFlink, rest: FlinkRest) -> None:
    flink.add("a" * 32, "one", started=1)
    flink.add("b" * 32, "two", "RESTARTING", started=2)
    found = rest.jobs()
    assert [job.name for job in found] == ["two", "one"]
    assert [job.running for job in found] == [False, True]
    assert not any(job.ended for job in found)
    assert rest.job("c" * 32) is None


@pytest.mark.parametrize("said", ["abcd", "abcd" + "0" * 28, "one"])
def test_a_job_is_found(flink: FakeFlink, rest: FlinkRest, said: str) -> None:
    flink.add("abcd" + "0" * 28, "one")
    flink.add("ef01" + "0" * 28, "two")
    assert rest.find(said).name == "one"


def test_of_one_name_it_is_the_one_that_lives(flink: FakeFlink, rest: FlinkRest) -> None:
    flink.add("a" * 32, "one", "FINISHED", started=3)
    flink.add("b" * 32, "one", "RUNNING", started=2)
    assert rest.find("one").id == "b" * 32
    flink.becomes("b" * 32, "CANCELED")
    assert rest.find("one").id == "a" * 32
    flink.add("c" * 32, "one")
    flink.add("d" * 32, "one")
    with pytest.raises(ConfigurationError, match="several"):
        rest.find("one")


def test_a_job_is_not_found(flink: FakeFlink, rest: FlinkRest) -> None:
    with pytest.raises(ConfigurationError, match="it has none"):
        rest.find("x")
    flink.add("a" * 32, "one")
    with pytest.raises(ConfigurationError, match=rf"knows no job 'x': it has {'a' * 32} \(one"):
        rest.find("x")


def test_a_savepoint(flink: FakeFlink, rest: FlinkRest) -> None:
    id = flink.add("a" * 32)
    assert rest.stop(id, "s3://here") == "file:///savepoints/savepoint-1"
    assert {"drain": False, "targetDirectory": "s3://here"} in flink.bodies
    assert rest.wait_until_ended(id) == rest.job(id)


def test_no_savepoint(flink: FakeFlink, rest: FlinkRest) -> None:
    id = flink.add("a" * 32)
    flink.savepoint = RuntimeError(
        "java.io.IOException: x\nCaused by: java.io.IOException: disk full"
    )
    with pytest.raises(NoSavepoint, match=rf"no savepoint of job {id}: IOException: disk full"):
        rest.stop(id)


def test_what_flink_refuses_is_a_line(rest: FlinkRest) -> None:
    with pytest.raises(FlinkRefused, match="Not found: /jobs/-") as caught:
        rest.detail("-")
    assert caught.value.status == 404
    assert "\n" not in str(caught.value)


def test_nobody_is_there() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with pytest.raises(
        Unreachable, match=rf"can't reach Flink at http://127.0.0.1:{port}: connection"
    ):
        FlinkRest(f"127.0.0.1:{port}").version()


def test_there_is_no_such_host() -> None:
    with pytest.raises(Unreachable, match=r"can.t reach Flink at http:..no-such-host"):
        FlinkRest("no-such-host.invalid:1").version()


@pytest.mark.parametrize("ask", [FlinkRest.version, FlinkRest.jobs])
@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"jobs": null}'])
def test_somebody_else_is_there(body: bytes, ask: Callable[[FlinkRest], object]) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(Unreachable, match="not as Flink does"):
            ask(FlinkRest(f"127.0.0.1:{server.server_port}"))


def test_a_cluster_that_keeps_its_configuration_to_itself(
    flink: FakeFlink, rest: FlinkRest, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rest.configuration()["state.savepoints.dir"]
    monkeypatch.setattr(flink, "answer", lambda *_: (403, {"errors": ["no"]}))
    assert rest.configuration() == {}
