"""A schema registry in this process: the part of Confluent's REST API that clients use."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

from google.protobuf import descriptor_pb2

from tests.servers.processes import free_port


class Refused(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Stored(NamedTuple):
    type: str
    text: str
    references: tuple[tuple[str, str, int], ...]


class SchemaRegistryServer:
    """Holds schemas by id, GUID, and version of a subject; may be stopped and started again.

    Args:
        login: User and password that it asks for.
        tls: How it speaks TLS, if it does.
    """

    def __init__(
        self, login: tuple[str, str] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.login = login
        self._tls = tls
        self.port = free_port()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        #: What it was asked, as `GET /schemas/ids/1`.
        self.asked: list[str] = []
        #: What it answers instead of what it knows: a status and a body.
        self.answers_instead: tuple[int, bytes] | None = None
        #: Whether what is registered is compatible with what was.
        self.compatible: Callable[[str, Stored], bool] = lambda subject, schema: True
        self.read_only = False
        #: Whether it fails to compile Protobuf that refers to other files, if asked for by id.
        self.as_karapace = False
        #: Whether it compiles no Protobuf, and shows it as it was registered.
        self.as_apicurio = False
        self.types = ["JSON", "PROTOBUF", "AVRO"]
        self._schemas: list[Stored] = []
        self._subjects: dict[str, list[int]] = {}
        self._server: ThreadingHTTPServer | None = None

    # ---- life --------------------------------------------------------------------------------------

    def start(self) -> Self:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, content = registry._answer(
                    self.command, self.path, body, self.headers.get("Authorization")
                )
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(content)))
                # A stopped server would go on answering on a connection that is kept.
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # ---- what it knows -----------------------------------------------------------------------------

    def add(self, subject: str, text: str, type: str = "AVRO", references: Any = ()) -> int:
        """Registers a schema; gives its id."""
        return self._register(subject, Stored(type, text, tuple(references)))

    def subjects(self) -> dict[str, list[int]]:
        """The ids of each subject, by version."""
        return {subject: list(ids) for subject, ids in self._subjects.items()}

    def text(self, id: int) -> str:
        return self._schemas[id - 1].text

    def _register(self, subject: str, schema: Stored) -> int:
        if schema not in self._schemas:
            self._schemas.append(schema)
        id = self._schemas.index(schema) + 1
        versions = self._subjects.setdefault(subject, [])
        if id not in versions:
            versions.append(id)
        return id

    def _answer(
        self, method: str, path: str, body: bytes, authorization: str | None
    ) -> tuple[int, bytes]:
        self.asked.append(f"{method} {path}")
        if self.answers_instead is not None:
            return self.answers_instead
        parts = urlsplit(path)
        steps = [unquote(step) for step in parts.path.strip("/").split("/")]
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        try:
            if self.login is not None:
                expected = base64.b64encode(":".join(self.login).encode()).decode()
                if authorization != f"Basic {expected}":
                    raise Refused(401, 401, "Unauthorized")
            return 200, json.dumps(self._found(method, steps, query, body)).encode()
        except Refused as e:
            return e.status, json.dumps({"error_code": e.code, "message": str(e)}).encode()

    def _found(self, method: str, steps: list[str], query: dict[str, str], body: bytes) -> Any:
        match method, steps:
            case "GET", ["schemas", "types"]:
                return self.types
            case "GET", ["schemas", "ids", id]:
                known = self._known(int(id))
                if self.as_karapace and query and self._schemas[known - 1].references:
                    raise Refused(500, 500, "Internal server error")
                return self._shown(known, query)
            case "GET", ["schemas", "ids", id, "versions"]:
                return [
                    {"subject": subject, "version": ids.index(int(id)) + 1}
                    for subject, ids in self._subjects.items()
                    if int(id) in ids
                ]
            case "GET", ["schemas", "guids", guid]:
                ids = [n for n in range(1, len(self._schemas) + 1) if guid_of(n) == guid]
                return self._shown(self._known(ids[0] if ids else 0), query)
            case "GET", ["subjects", subject, "versions", version]:
                return self._shown(self._version(subject, version), query, subject)
            case "POST", ["subjects", subject, "versions"]:
                return self._posted(subject, _stored(body))
            case "POST", ["subjects", subject]:
                return self._looked_up(subject, _stored(body))
        raise Refused(404, 404, "HTTP 404 Not Found")

    def _known(self, id: int) -> int:
        if not 0 < id <= len(self._schemas):
            raise Refused(404, 40403, f"Schema {id} not found")
        return id

    def _version(self, subject: str, version: str) -> int:
        ids = self._subjects.get(subject)
        if ids is None:
            raise Refused(404, 40401, f"Subject '{subject}' not found.")
        number = len(ids) if version == "latest" else int(version)
        if not 0 < number <= len(ids):
            raise Refused(404, 40402, f"Version {version} not found.")
        return ids[number - 1]

    def _posted(self, subject: str, schema: Stored) -> Any:
        if self.read_only:
            raise Refused(422, 42205, "Subject is in read-only mode")
        known = schema in self._schemas and self._schemas.index(schema) + 1
        if known not in self._subjects.get(subject, ()) and not self.compatible(subject, schema):
            raise Refused(
                409, 409, "Schema being registered is incompatible with an earlier schema"
            )
        return self._shown(self._register(subject, schema), {}, subject)

    def _looked_up(self, subject: str, schema: Stored) -> Any:
        if subject not in self._subjects:
            raise Refused(404, 40401, f"Subject '{subject}' not found.")
        known = self._schemas.index(schema) + 1 if schema in self._schemas else 0
        if known not in self._subjects[subject]:
            raise Refused(404, 40403, "Schema not found")
        return self._shown(known, {}, subject)

    def _shown(self, id: int, query: dict[str, str], subject: str | None = None) -> dict[str, Any]:
        schema = self._schemas[id - 1]
        shown: dict[str, Any] = {"id": id, "guid": guid_of(id), "schema": schema.text}
        if schema.type != "AVRO":
            shown["schemaType"] = schema.type
        if schema.references:
            shown["references"] = [
                {"name": name, "subject": of, "version": version}
                for name, of, version in schema.references
            ]
        if subject is not None:
            shown |= {"subject": subject, "version": self._subjects[subject].index(id) + 1}
        compiles = query.get("format") == "serialized" or self.as_apicurio
        if schema.type == "PROTOBUF" and not compiles:
            # The real one shows source text, of which clients can make nothing without a compiler.
            shown["schema"] = (
                f'// {_file(schema.text).name or "a file"} in source\nsyntax = "proto3";'
            )
        return shown


def guid_of(id: int) -> str:
    """The GUID of a schema."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(id)))


def _stored(body: bytes) -> Stored:
    found = json.loads(body)
    references = tuple(
        (r["name"], r["subject"], r["version"]) for r in found.get("references") or ()
    )
    return Stored(found.get("schemaType") or "AVRO", found["schema"], references)


def _file(text: str) -> descriptor_pb2.FileDescriptorProto:
    return descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text))
