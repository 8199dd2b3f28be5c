"""Serves what there is to watch of this process: `/metrics`, `/healthz`, `/readyz`.

The command line opens it where it was asked for. A worker of a remote runner does so by itself, if its
environment says so: `NEWSBEAM_METRICS_PORT`, and `_HOST` and `_DIR`. Several of them on a host take any
free port (0), and leave word in a folder where.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import ipaddress
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from transforms.errors import ConfigurationError
from transforms.watching.discovery import DiscoveryFile, clean_up
from transforms.watching.exposition import registry
from transforms.watching.health import HEALTH, Health

log = logging.getLogger("newsbeam")

#: Where it listens unless another address is given: what is served there is for this machine.
LOOPBACK = "127.0.0.1"
PORT, HOST, FOLDER = (f"NEWSBEAM_METRICS_{name}" for name in ("PORT", "HOST", "DIR"))
#: How long a client may take for its request, in seconds.
REQUEST_TIMEOUT = 10.0
#: How often the folder is looked through for what killed processes have left, in seconds.
CLEAN_UP_EVERY = 30.0


class Exporter:
    """A server of this process' metrics and health, until it is closed.

    Args:
        port: Where it listens; 0 is any free port.
        host: On which address.
        folder: Where it leaves word for Prometheus' file discovery.
        health: What it tells of.

    Raises:
        ConfigurationError: It can't listen there, or write into the folder; says what to do.
    """

    def __init__(
        self,
        port: int,
        host: str = LOOPBACK,
        folder: str | None = None,
        health: Health = HEALTH,
    ) -> None:
        self._host = host
        self._folder = None if folder is None else Path(folder)
        self._cleaned_at = time.monotonic()
        self._server = _listening(port, host)
        self._server.exporter = self
        self._server.registry = registry(health=health)
        self._server.health = health
        self.port: int = self._server.server_address[1]
        self._file: DiscoveryFile | None = None
        if self._folder is not None:
            try:
                self._file = DiscoveryFile(self._folder, _authority(self._advertised, self.port))
            except OSError as e:
                self._server.server_close()
                raise ConfigurationError(
                    f"--metrics_dir {folder}: it can't be written to ({e.strerror or e}); name a "
                    "folder of your own"
                ) from None
        threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.1},
            name="newsbeam-metrics",
            daemon=True,
        ).start()

    @property
    def url(self) -> str:
        """Where the metrics are, from this machine."""
        return f"http://{_authority(self._host, self.port)}/metrics"

    @property
    def _advertised(self) -> str:
        """An address at which others find it."""
        with contextlib.suppress(ValueError):
            if ipaddress.ip_address(self._host).is_unspecified:
                with contextlib.suppress(OSError):
                    return socket.gethostbyname(socket.gethostname())
                return socket.gethostname()
        return self._host

    def tidy(self) -> None:
        """Removes what killed processes have left in the folder, now and then."""
        now = time.monotonic()
        if self._folder is not None and now - self._cleaned_at >= CLEAN_UP_EVERY:
            self._cleaned_at = now
            clean_up(self._folder)

    def close(self) -> None:
        """Serves no more."""
        if self._file is not None:
            self._file.remove()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Two processes on one port would be scraped in turn.
    allow_reuse_port = False
    exporter: Exporter
    registry: CollectorRegistry
    health: Health

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that went away is no news.
        log.debug("a scrape from %s failed", client_address, exc_info=True)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "newsbeam"
    sys_version = ""
    timeout = REQUEST_TIMEOUT

    def do_GET(self) -> None:
        path, health = self.path.partition("?")[0], self.server.health
        if path == "/metrics":
            self.server.exporter.tidy()
            encode, kind = choose_encoder(self.headers.get("Accept", ""))
            self._answer(HTTPStatus.OK, encode(self.server.registry), kind)
        elif path == "/healthz":
            self._say(health.not_well())
        elif path == "/readyz":
            self._say(health.not_ready())
        else:
            text = "there are /metrics, /healthz and /readyz\n"
            self._answer(HTTPStatus.NOT_FOUND, text.encode(), "text/plain; charset=utf-8")

    do_HEAD = do_GET  # noqa: N815 - its base calls it so

    def _say(self, trouble: str | None) -> None:
        status = HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK
        self._answer(status, f"{trouble or 'ok'}\n".encode(), "text/plain; charset=utf-8")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        log.debug("metrics: " + format, *args)


def _listening(port: int, host: str) -> _Server:
    try:
        is_6 = ipaddress.ip_address(host).version == 6
    except ValueError:
        is_6 = False
    try:
        return (_Server6 if is_6 else _Server)((host, port), _Handler)
    except (OSError, UnicodeError) as e:
        away = isinstance(e, OSError) and e.errno == errno.EADDRNOTAVAIL
        if away or isinstance(e, socket.gaierror | UnicodeError):
            raise ConfigurationError(
                f"--metrics_host {host!r} is no address of this machine: give 127.0.0.1, or 0.0.0.0 "
                "for all"
            ) from None
        raise ConfigurationError(
            f"--metrics_port {port}: {host}:{port} can't be listened at ({e.strerror or e}); name "
            "another port, or 0 for any that is free"
        ) from None


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_lock = threading.Lock()
_exporter: Exporter | None = None
_gave_up = False


@contextlib.contextmanager
def exporting(exporter: Exporter) -> Iterator[None]:
    """Makes an exporter that of this process for as long as the `with` block runs, then closes it."""
    global _exporter
    with _lock:
        before, _exporter = _exporter, exporter
    try:
        yield
    finally:
        with _lock:
            _exporter = before
        exporter.close()


def watch_this_process() -> None:
    """Opens the exporter of a worker, if its environment asks for one and there is none yet.

    It never fails: a worker is there to work.
    """
    global _exporter, _gave_up
    asked = os.environ.get(PORT)
    if not asked:
        return
    with _lock:
        if _exporter is not None or _gave_up:
            return
        try:
            _exporter = _for_worker(asked)
        except ConfigurationError as e:
            log.warning("no metrics are served: %s", e)
            _gave_up = True
            return
        atexit.register(_exporter.close)
    log.info("metrics of process %d: %s", os.getpid(), _exporter.url)


def _for_worker(asked: str) -> Exporter:
    if not asked.isascii() or not asked.isdigit() or int(asked) > 65535:
        raise ConfigurationError(f"{PORT}={asked!r} is no port: give 0 for any, or 1 to 65535")
    host, folder = os.environ.get(HOST) or LOOPBACK, os.environ.get(FOLDER) or None
    try:
        return Exporter(int(asked), host, folder)
    except ConfigurationError as e:
        if asked == "0" or "can't be listened at" not in str(e):
            raise
    # Another SDK process of this host is there already.
    found = Exporter(0, host, folder)
    log.warning(
        "port %s is taken, metrics of this process are at %s: with several SDK processes on a host "
        "set %s=0, and %s to a folder that Prometheus watches",
        asked,
        found.url,
        PORT,
        FOLDER,
    )
    return found
