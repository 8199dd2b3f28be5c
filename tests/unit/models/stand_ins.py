"""Stand-ins on this machine for what models come from: the Hugging Face hub, and S3."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape


class Server(http.server.ThreadingHTTPServer):
    """Answers from the files of a folder, and keeps what it was asked.

    Args:
        folder: The folder.
        handler: How it answers.
    """

    def __init__(self, folder: Path, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.folder = folder
        self.asked: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def files(self) -> dict[str, bytes]:
        found = sorted(p for p in self.folder.rglob("*") if p.is_file())
        return {p.relative_to(self.folder).as_posix(): p.read_bytes() for p in found}

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            self.shutdown()
            self.server_close()
            thread.join()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD alike: HEAD without the body."""

    server: Any

    def do_HEAD(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def _handle(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        self.server.asked.append(f"{self.command} {url.path}")
        self.answer(url.path, dict(urllib.parse.parse_qsl(url.query)))

    def answer(self, path: str, query: dict[str, str]) -> None:
        raise NotImplementedError

    def send(self, data: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("ETag", f'"{oid(data)}"')
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


def oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


class Hub(Server):
    """What the hub's API answers about one model, `news/tiny`, whose files are those of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _HubHandler)

    @property
    def commit(self) -> str:
        """A commit is known by its contents, as git's are."""
        return oid(repr(self.files).encode())

    @property
    def downloads(self) -> list[str]:
        """The files that were read."""
        return [a.rpartition(self.commit + "/")[2] for a in self.asked if a.startswith("GET /news")]


class _HubHandler(Handler):
    def answer(self, path: str, query: dict[str, str]) -> None:
        hub = self.server
        api, resolved = "/api/models/news/tiny", "/news/tiny/resolve/"
        revisions = ("main", hub.commit)
        if path.startswith(resolved):
            revision, _, name = path[len(resolved) :].partition("/")
            if revision not in revisions:
                self._no("RevisionNotFound")
            elif name not in hub.files:
                self._no("EntryNotFound")
            else:
                self._send(hub.files[name])
        elif path in (api, *(f"{api}/revision/{r}" for r in revisions)):
            siblings = [{"rfilename": name} for name in hub.files]
            self._send_json({"id": "news/tiny", "sha": hub.commit, "siblings": siblings})
        elif path in [f"{api}/tree/{r}" for r in revisions]:
            self._send_json(
                [
                    {"type": "file", "path": name, "size": len(data), "oid": oid(data)}
                    for name, data in hub.files.items()
                ]
            )
        elif any(path.startswith(f"{api}/tree/{r}/") for r in revisions):
            self._no("EntryNotFound")  # a folder: it has none
        elif path.startswith(api + "/"):
            self._no("RevisionNotFound")
        else:
            self._no("RepoNotFound")

    def _no(self, what: str) -> None:
        self._send_json({"error": what}, 404, X_Error_Code=what)

    def _send_json(self, value: Any, status: int = 200, **headers: str) -> None:
        self._send(json.dumps(value).encode(), status, **headers)

    def _send(self, data: bytes, status: int = 200, **headers: str) -> None:
        self.send(data, status, X_Repo_Commit=self.server.commit, **headers)


class S3(Server):
    """What S3 answers about one bucket, `bucket`, whose objects are the files of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _S3Handler)


class _S3Handler(Handler):
    def answer(self, path: str, query: dict[str, str]) -> None:
        bucket, _, key = urllib.parse.unquote(path).strip("/").partition("/")
        files: dict[str, bytes] = self.server.files
        if bucket != "bucket":
            self._error("NoSuchBucket")
        elif not key and query.get("list-type") == "2":
            self._list({n: d for n, d in files.items() if n.startswith(query.get("prefix", ""))})
        elif key not in files:
            self._error("NoSuchKey")
        else:
            self._object(files[key])

    def _object(self, data: bytes) -> None:
        modified = email.utils.formatdate(0, usegmt=True)
        if asked := self.headers.get("Range"):
            begin, _, end = asked.removeprefix("bytes=").partition("-")
            part = data[int(begin) : int(end) + 1 if end else None]
            place = f"bytes {begin}-{int(begin) + len(part) - 1}/{len(data)}"
            self.send(part, 206, Content_Range=place, Last_Modified=modified)
        else:
            self.send(data, Last_Modified=modified)

    def _list(self, files: dict[str, bytes]) -> None:
        objects = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>1970-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{oid(data)}&quot;</ETag><Size>{len(data)}</Size></Contents>"
            for name, data in files.items()
        )
        self._xml(
            f"<ListBucketResult><KeyCount>{len(files)}</KeyCount>{objects}</ListBucketResult>"
        )

    def _error(self, code: str) -> None:
        self._xml(f"<Error><Code>{code}</Code><Message>no</Message></Error>", 404)

    def _xml(self, text: str, status: int = 200) -> None:
        self.send(text.encode(), status)
