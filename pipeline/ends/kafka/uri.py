"""Kafka's URIs: `kafka://host:port[,host:port]/topic[,topic][?group=name]`."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from pipeline.ends.uris import query_of, shown
from transforms.errors import ConfigurationError

_HOST_AND_PORT = re.compile(r"[^@\s]+:([0-9]{1,5})")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


class KafkaUri(NamedTuple):
    """What a URI says.

    Attributes:
        servers: `host:port[,host:port]`.
        topics: The topics.
        query: What stood after `?`.
    """

    servers: str
    topics: tuple[str, ...]
    query: dict[str, str]


def parse(uri: str) -> KafkaUri:
    """Reads a URI.

    Raises:
        ConfigurationError: It is incomplete, or holds what it must not.
    """
    form = "write kafka://host:port[,host:port]/topic[,topic][?group=name]"
    safe = shown(uri)
    try:
        parts = urlsplit(uri)
        servers = parts.netloc.split(",")
    except ValueError as e:
        # What urlsplit says may hold the user and the password.
        raise ConfigurationError(
            f"{safe!r} is no Kafka URI{'' if '@' in uri else f' ({e})'}: {form}"
        ) from None
    wrong = [server for server in servers if not _is_host_and_port(server)]
    if "@" in parts.netloc + parts.path + parts.fragment or (wrong and "@" in uri):
        raise ConfigurationError(
            f"{safe!r} holds credentials: set NEWSBEAM_KAFKA_SASL_PLAIN_USERNAME and …_PASSWORD, "
            "or put them in a file for --kafka_config"
        )
    if wrong:
        raise ConfigurationError(f"{wrong[0]!r} in {safe!r} is no host:port: {form}")
    path = parts.path + ("#" + parts.fragment if parts.fragment else "")
    topics = tuple(unquote(t) for t in path.strip("/").split(",") if t)
    if not topics:
        raise ConfigurationError(f"{safe!r} names no topic: {form}")
    for topic in topics:
        if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
            raise ConfigurationError(
                f"{topic!r} in {safe!r} is no topic name: use letters, digits, '.', '_' and '-'"
            )
    return KafkaUri(parts.netloc, topics, query_of(safe, parts.query))


def _is_host_and_port(server: str) -> bool:
    found = _HOST_AND_PORT.fullmatch(server)
    return found is not None and 0 < int(found[1]) < 65536
