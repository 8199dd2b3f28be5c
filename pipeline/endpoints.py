"""Endpoints by URI: from `kafka://host:port/topic` to where it reads and writes.

`parse` knows the schemes and what each URI may say; it touches no network and no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from transforms.errors import ConfigurationError

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):(//)?")
_TOPIC = re.compile(r"^[A-Za-z0-9._-]{1,249}$")
_EXTENSIONS = {"jsonl": "json", "json": "json", "ndjson": "json", "csv": "csv", "txt": "text"}
SCHEMES = ("kafka://host:port/topic", "file://path", "a path", "- (stdin, stdout)")


@dataclass(frozen=True)
class KafkaEndpoint:
    """Topics of a cluster.

    Attributes:
        uri: As given.
        servers: `host:port[,host:port]`.
        topics: The topics; a sink has one.
        query: What stood after `?`.
    """

    uri: str
    servers: str
    topics: tuple[str, ...]
    query: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class FileEndpoint:
    """Files by path or pattern, on any file system that Beam knows.

    Attributes:
        uri: As given.
        path: The path or glob pattern.
        format: `json` (a record a line), `csv` or `text` (a text a line), by extension.
        columns: The column names of CSV files without a header line.
    """

    uri: str
    path: str
    format: str
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class StdEndpoint:
    """stdin or stdout."""

    uri: str = "-"


Endpoint = KafkaEndpoint | FileEndpoint | StdEndpoint


def parse(uri: str) -> Endpoint:
    """Reads an endpoint's URI.

    Raises:
        ConfigurationError: The scheme is unknown or the URI is incomplete; says how it should be.
    """
    if uri == "-":
        return StdEndpoint()
    if not uri:
        raise ConfigurationError(f"an endpoint is empty: give {', '.join(SCHEMES)}")
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return _file(uri, uri)
    name = scheme[1].lower()
    if name == "kafka":
        return _kafka(uri)
    if name == "file":
        if not scheme[2]:
            raise ConfigurationError(f"{uri!r} is no file URI: write file:///path, or the path")
        return _file(uri, uri.split("://", 1)[1])
    raise ConfigurationError(f"unknown scheme {name!r} in {uri!r}: give {', '.join(SCHEMES)}")


def _query(uri: str, text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True)
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"{name} stands twice in {uri!r}: give it once")
    return dict(pairs)


def _kafka(uri: str) -> KafkaEndpoint:
    form = "write kafka://host:port[,host:port]/topic[,topic][?group=name]"
    try:
        parts = urlsplit(uri)
    except ValueError as e:
        raise ConfigurationError(f"{uri!r} is no Kafka URI ({e}): {form}") from None
    if "@" in parts.netloc:
        shown = uri.replace(parts.netloc.rpartition("@")[0], "…")
        raise ConfigurationError(
            f"{shown!r} holds credentials: set NEWSBEAM_KAFKA_SASL_PLAIN_USERNAME and …_PASSWORD, "
            "or put them in a file for --kafka_config"
        )
    for server in parts.netloc.split(","):
        host, colon, port = server.rpartition(":")
        if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
            raise ConfigurationError(f"{server!r} in {uri!r} is no host:port: {form}")
    topics = tuple(unquote(t) for t in parts.path.strip("/").split(",") if t)
    if not topics:
        raise ConfigurationError(f"{uri!r} names no topic: {form}")
    for topic in topics:
        if not _TOPIC.match(topic) or topic in {".", ".."}:
            raise ConfigurationError(
                f"{topic!r} in {uri!r} is no topic name: use letters, digits, '.', '_' and '-'"
            )
    return KafkaEndpoint(uri, parts.netloc, topics, _query(uri, parts.query))


def _file(uri: str, path: str) -> FileEndpoint:
    path, mark, text = path.partition("?") if "://" in uri else (path, "", "")
    query = _query(uri, text) if mark else {}
    unknown = sorted(query.keys() - {"format", "columns"})
    if unknown:
        raise ConfigurationError(
            f"{unknown[0]!r} in {uri!r} is unknown: a file URI takes format and columns"
        )
    if not path:
        raise ConfigurationError(f"{uri!r} names no file: write file:///path, or the path")
    extension = path.lower().removesuffix(".gz").rpartition(".")[2]
    form = query.get("format", _EXTENSIONS.get(extension, "json"))
    if form not in set(_EXTENSIONS.values()):
        raise ConfigurationError(f"format={form!r} in {uri!r} is unknown: give json, csv or text")
    columns = tuple(c for c in query.get("columns", "").split(",") if c) or None
    return FileEndpoint(uri, path, form, columns)
