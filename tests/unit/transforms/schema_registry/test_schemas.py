"""Asking a schema registry: logins, failures, and what is waited for."""

from __future__ import annotations

import json
import logging
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.servers.certificates import CertificateAuthority
from tests.servers.processes import free_port, wait_until
from tests.servers.schema_registry import SchemaRegistryServer
from tests.unit.transforms.parsing import news, refused
from transforms import patience
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure, forget_failures
from transforms.formats.decoder import NotNews
from transforms.formats.framing import SchemaRef, frame_of_id
from transforms.parse import ParseNews
from transforms.reading import drain
from transforms.records import Message
from transforms.schema_registry import schemas
from transforms.schema_registry.client import check_registry
from transforms.schema_registry.schemas import UNKNOWN_FOR, Schemas
from transforms.schema_registry.settings import SchemaRegistry

SCHEMA = json.dumps(
    {"type": "record", "name": "R", "fields": [{"name": "title", "type": "string"}]}
)
PASSWORD = "correct-horse-battery"
VALUE = frame_of_id(1) + b"\x02A"


def of(url: str, password: str | None = None) -> SchemaRegistry:
    names = {"USER": "me", "PASSWORD": password} if password else {}
    return SchemaRegistry.of(url, {f"NEWSBEAM_SCHEMA_REGISTRY_{k}": v for k, v in names.items()})


def line_of(registry: SchemaRegistry, type: str = "AVRO") -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_registry(registry, type)
    line = str(caught.value)
    assert "\n" not in line
    assert PASSWORD not in line
    return line


# ---- before the start ------------------------------------------------------------------------------


def test_a_registry_that_is_there(schema_registry: SchemaRegistryServer) -> None:
    check_registry(of(schema_registry.url), "AVRO")


def test_the_next_one_is_asked_where_the_first_is_away(
    schema_registry: SchemaRegistryServer,
) -> None:
    check_registry(of(f"http://127.0.0.1:{free_port()},{schema_registry.url}"), "AVRO")


def test_a_registry_that_is_not_there() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    assert line_of(of(url)) == (
        f"can't reach the schema registry at {url}: Connection refused; check schema_registry"
    )


def test_a_login() -> None:
    with SchemaRegistryServer(("me", PASSWORD)) as server:
        check_registry(of(server.url, PASSWORD), "AVRO")
        for registry in (of(server.url), of(server.url, PASSWORD + "2")):
            assert line_of(registry).startswith(
                f"the schema registry at {server.url} refuses us: 401 Unauthorized; check "
                "NEWSBEAM_SCHEMA_REGISTRY_USER and NEWSBEAM_SCHEMA_REGISTRY_PASSWORD"
            )


def test_tls_and_certificates_of_clients(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path)
    ours, theirs = authority.issue("newsbeam"), authority.issue("registry")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.certificate))
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(theirs.certificate, theirs.key)
    prefix = "NEWSBEAM_SCHEMA_REGISTRY_"
    files = {"CA": authority.certificate, "CERTIFICATE": ours.certificate, "KEY": ours.key}
    with SchemaRegistryServer(tls=tls) as server:
        good = {prefix + name: str(path) for name, path in files.items()}
        check_registry(SchemaRegistry.of(server.url, good), "AVRO")
        del good[prefix + "CA"]
        assert "certificate verify failed" in line_of(SchemaRegistry.of(server.url, good))


@pytest.mark.parametrize(
    ("status", "body", "line"),
    [
        (200, b"<html>", "no schema registry answers at {url}: 200 OK"),
        (200, b"{}", "no schema registry answers at {url}: {}"),
        (404, b"<html>", "no schema registry answers at {url}: 404 Not Found"),
        (404, b'{"error_code": 404, "message": "No"}', "no schema registry answers at {url}: 404 No"),
        (503, b'{"error_code": 50003, "message": "Starting"}', "at {url}: 503 Starting"),
        (403, b"<html>", "the schema registry at {url} refuses us: 403 Forbidden"),
    ],
)  # fmt: skip
def test_what_is_no_registry(
    schema_registry: SchemaRegistryServer, status: int, body: bytes, line: str
) -> None:
    schema_registry.answers_instead = status, body
    assert line.replace("{url}", schema_registry.url) in line_of(of(schema_registry.url))


def test_a_registry_of_other_formats(schema_registry: SchemaRegistryServer) -> None:
    schema_registry.types = ["AVRO"]
    assert line_of(of(schema_registry.url), "PROTOBUF") == (
        f"the schema registry at {schema_registry.url} knows AVRO, and no PROTOBUF: give another format"
    )


# ---- in the stream ---------------------------------------------------------------------------------


def test_a_registry_that_is_away_is_waited_for(
    schema_registry: SchemaRegistryServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "_logged_at", -patience.LOG_INTERVAL)
    monkeypatch.setattr(patience, "LONGEST_DELAY", 0.2)
    schema_registry.add("news", SCHEMA)
    schema_registry.stop()
    found: list[Any] = []

    def parse() -> None:
        found.append(news(VALUE, format="avro", schema_registry=of(schema_registry.url)))

    thread = threading.Thread(target=parse)
    with caplog.at_level(logging.INFO):
        thread.start()
        wait_until(lambda: caplog.messages, "a line in the log")
        # What stands before a registry answers, too, and not as one does.
        schema_registry.answers_instead = 404, b"default backend - 404"
        schema_registry.start()
        wait_until(lambda: len(schema_registry.asked) > 1, "another try")
        assert not found
        schema_registry.answers_instead = None
        thread.join()
    assert [item.text for item in found] == ["A"]
    [line] = caplog.messages
    assert line.startswith(
        f"asking for schema id 1: can't reach the schema registry at {schema_registry.url}: "
        "Connection refused; trying again for "
    )


def test_a_drain_ends_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "DRAIN_PATIENCE", 0.0)
    drain()
    url = f"http://127.0.0.1:{free_port()}"
    step = ParseNews(format="avro", schema_registry=of(url))
    with pytest.raises(PipelineFailure) as caught:
        list(step.process(Message(VALUE)))
    forget_failures()
    assert f"can't reach the schema registry at {url}: Connection refused" in str(caught.value)


@pytest.mark.parametrize("status", [401, 403])
def test_a_login_that_is_refused_ends_the_pipeline(
    schema_registry: SchemaRegistryServer, status: int
) -> None:
    schema_registry.answers_instead = status, b'{"error_code": 1, "message": "No"}'
    step = ParseNews(format="avro", schema_registry=of(schema_registry.url, PASSWORD))
    with pytest.raises(PipelineFailure, match=f"refuses us: {status} No; check NEWS") as caught:
        list(step.process(Message(VALUE)))
    forget_failures()
    assert PASSWORD not in str(caught.value)


def test_what_is_unknown_is_asked_for_again_later(schema_registry: SchemaRegistryServer) -> None:
    now = 0.0
    known: Schemas[str] = Schemas(
        of(schema_registry.url), "AVRO", lambda client, ref, schema: schema.text, lambda: now
    )
    for _ in range(3):
        with pytest.raises(NotNews, match="schema id 1 is not known"):
            known.get(SchemaRef(1))
    assert schema_registry.asked == ["GET /schemas/ids/1"]
    schema_registry.add("news", SCHEMA)
    now = UNKNOWN_FOR
    assert [known.get(SchemaRef(1)) for _ in range(2)] == [SCHEMA] * 2
    assert len(schema_registry.asked) == 2


def test_what_is_unknown_is_not_kept_in_mind_without_end(
    schema_registry: SchemaRegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemas, "MOST_UNKNOWN", 2)
    registry = of(schema_registry.url)
    known: Schemas[str] = Schemas(registry, "AVRO", lambda client, ref, schema: schema.text)
    for id in (1, 2, 1, 2, 3, 1):
        with pytest.raises(NotNews):
            known.get(SchemaRef(id))
    assert schema_registry.asked == [f"GET /schemas/ids/{id}" for id in (1, 2, 3, 1)]


def test_what_else_a_registry_refuses_costs_the_message(
    schema_registry: SchemaRegistryServer,
) -> None:
    schema_registry.answers_instead = 422, b'{"error_code": 42202, "message": "Bad\\nid"}'
    assert refused(VALUE, format="avro", schema_registry=of(schema_registry.url)) == (
        f"schema id 1 is not known to the schema registry at {schema_registry.url}: 422 Bad id"
    )
