"""Endpoints by URI: from `kafka://host:port/topic` to where it reads and writes.

`parse` knows the schemes and what each URI may say; it touches no network and opens no file.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from transforms.csv_rows import column_list, delimiter_named
from transforms.errors import ConfigurationError
from transforms.files.paths import format_by_name
from transforms.kafka.names import is_secret
from transforms.kafka.settings import KafkaSettings
from transforms.rows import FORMATS

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):(//)?")
_HOST_AND_PORT = re.compile(r"[^@\s]+:([0-9]{1,5})")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
#: What the query of a source says of its records.
_RECORDS_QUERY = {"format", "columns", "delimiter", "items"}
#: What the query of a topic says to us; anything else in it is a Kafka client setting.
SOURCE_QUERY = {"group", "start", "isolation_level", "format", "columns", "delimiter"}
#: What may be a query behind a path, where `?` is any character, too.
_PATH_QUERY = re.compile(r"[a-z_]+=[^/]*")
#: A properties file for one endpoint, in its query.
_CONFIG = "config"
SCHEMES = ("kafka://host:port/topic", "file://path", "a path", "- (stdin, stdout)")


@dataclass(frozen=True)
class Records:
    """What a source's URI says of its records; None where it says nothing.

    Attributes:
        format: `json`, `csv` or `text`.
        columns: The column names of CSV without a header line.
        delimiter: What stands between the fields of CSV.
        items: Where the list of items stands in a JSON document.
    """

    format: str | None = None
    columns: tuple[str, ...] | None = None
    delimiter: str | None = None
    items: str | None = None

    @classmethod
    def of(cls, uri: str, query: dict[str, str]) -> Records:
        """Reads them from a query.

        Raises:
            ConfigurationError: One of them can't be.
        """
        form, columns, delimiter = (query.get(n) for n in ("format", "columns", "delimiter"))
        if form is not None and form not in FORMATS:
            raise ConfigurationError(
                f"format={form!r} in {uri!r} is unknown: give json, csv or text"
            )
        names = None if columns is None else column_list(columns.split(","), f"{uri}: columns")
        try:
            mark = None if delimiter is None else delimiter_named(delimiter)
        except ValueError as e:
            raise ConfigurationError(f"{uri}: {e}") from None
        return cls(form, names, mark, query.get("items"))


@dataclass(frozen=True)
class KafkaEndpoint:
    """Topics of a cluster.

    Attributes:
        uri: As given.
        servers: `host:port[,host:port]`.
        topics: The topics; a sink has one.
        query: What stood after `?`.
        records: What it says of their records.
    """

    uri: str
    servers: str
    topics: tuple[str, ...]
    query: dict[str, str] = field(default_factory=dict, hash=False)
    records: Records = Records()

    def settings(self, kafka_config: str | None = None) -> KafkaSettings:
        """Its client settings; a properties file of its own is read instead of `kafka_config`.

        Raises:
            ConfigurationError: A setting can't be, or the file can't be read.
        """
        query = {k: v for k, v in self.query.items() if k not in SOURCE_QUERY | {_CONFIG}}
        return KafkaSettings.of(self.servers, self.query.get(_CONFIG, kafka_config), query)


@dataclass(frozen=True)
class FileEndpoint:
    """Files by path or pattern, on any file system that Beam knows.

    Attributes:
        uri: As given.
        path: The path or glob pattern.
        format: `json` (a record a line), `csv` or `text` (a text a line), by extension.
        records: What the URI says of their records.
    """

    uri: str
    path: str
    format: str
    records: Records = Records()


@dataclass(frozen=True)
class StdEndpoint:
    """stdin or stdout.

    Attributes:
        uri: As given; `stderr` for dead letters.
        records: What it says of the records on stdin.
    """

    uri: str = "-"
    records: Records = Records()


Endpoint = KafkaEndpoint | FileEndpoint | StdEndpoint


def parse(uri: str) -> Endpoint:
    """Reads an endpoint's URI.

    Raises:
        ConfigurationError: The scheme is unknown or the URI is incomplete; says how it should be.
    """
    if uri == "-":
        return StdEndpoint()
    if uri.startswith("-?"):
        return StdEndpoint(uri, Records.of(uri, _records_query(uri, uri[2:])))
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
    raise ConfigurationError(
        f"unknown scheme {name!r} in {_shown(uri)!r}: give {', '.join(SCHEMES)}"
    )


def _shown(uri: str) -> str:
    """A URI as an error may show it: whatever may be a password is left out."""
    if "@" in uri and "://" in uri:
        uri = f"{uri.partition('://')[0]}://…@{uri.rpartition('@')[2]}"
    head, mark, query = uri.partition("?")
    pairs = [(part, *part.partition("=")) for part in query.split("&")]
    return head + mark + "&".join(f"{n}=…" if is_secret(n) else part for part, n, _, _ in pairs)


def _query(uri: str, text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True)
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"{name} stands twice in {uri!r}: give it once")
        if is_secret(name):
            raise ConfigurationError(
                f"{name} in {uri!r} is a secret: set NEWSBEAM_KAFKA_{name.upper()}, or put it in a "
                "file for --kafka_config"
            )
    return dict(pairs)


def _kafka(uri: str) -> KafkaEndpoint:
    form = "write kafka://host:port[,host:port]/topic[,topic][?group=name]"
    shown = _shown(uri)
    try:
        parts = urlsplit(uri)
        servers = parts.netloc.split(",")
    except ValueError as e:
        # What urlsplit says may hold the user and the password.
        raise ConfigurationError(
            f"{shown!r} is no Kafka URI{'' if '@' in uri else f' ({e})'}: {form}"
        ) from None
    wrong = [server for server in servers if not _is_host_and_port(server)]
    if "@" in parts.netloc + parts.path + parts.fragment or (wrong and "@" in uri):
        raise ConfigurationError(
            f"{shown!r} holds credentials: set NEWSBEAM_KAFKA_SASL_PLAIN_USERNAME and …_PASSWORD, "
            "or put them in a file for --kafka_config"
        )
    if wrong:
        raise ConfigurationError(f"{wrong[0]!r} in {shown!r} is no host:port: {form}")
    path = parts.path + ("#" + parts.fragment if parts.fragment else "")
    topics = tuple(unquote(t) for t in path.strip("/").split(",") if t)
    if not topics:
        raise ConfigurationError(f"{shown!r} names no topic: {form}")
    for topic in topics:
        if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
            raise ConfigurationError(
                f"{topic!r} in {shown!r} is no topic name: use letters, digits, '.', '_' and '-'"
            )
    query = _query(shown, parts.query)
    return KafkaEndpoint(uri, parts.netloc, topics, query, Records.of(shown, query))


def _is_host_and_port(server: str) -> bool:
    found = _HOST_AND_PORT.fullmatch(server)
    return found is not None and 0 < int(found[1]) < 65536


def _file(uri: str, path: str) -> FileEndpoint:
    path, text = _without_query(uri, path)
    query = _records_query(uri, text)
    if not path:
        raise ConfigurationError(f"{uri!r} names no file: write file:///path, or the path")
    records = Records.of(uri, query)
    is_csv = "csv" if records.columns or records.delimiter else "json"
    return FileEndpoint(uri, path, records.format or format_by_name(path) or is_csv, records)


def _without_query(uri: str, path: str) -> tuple[str, str]:
    """A path, and what its URI asks for: `?` may also stand in a name or a pattern."""
    if os.path.lexists(path):
        return path, ""
    if "://" in uri:
        path, _, text = path.partition("?")
        return path, text
    head, _, text = path.partition("?")
    while text and not _PATH_QUERY.fullmatch(text):
        more, _, text = text.partition("?")
        head += "?" + more
    return (head, text) if text else (path, "")


def _records_query(uri: str, text: str) -> dict[str, str]:
    query = _query(uri, text)
    for name in sorted(query.keys() - _RECORDS_QUERY):
        raise ConfigurationError(
            f"{name!r} in {uri!r} is unknown: a file's URI takes format, columns, delimiter and items"
        )
    return query
