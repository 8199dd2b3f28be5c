"""What may stand behind the `?` of a file."""

from __future__ import annotations

import os
import re

from pipeline.ends.records import RECORDS_QUERY
from pipeline.ends.uris import query_of
from transforms.errors import ConfigurationError

#: What may be a query behind a path, where `?` is any character, too.
_PATH_QUERY = re.compile(r"[a-z_]+=[^/]*")


def without_query(uri: str, path: str) -> tuple[str, str]:
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


def file_query(uri: str, text: str) -> dict[str, str]:
    """What a query asks for.

    Raises:
        ConfigurationError: It asks for what files don't have.
    """
    query = query_of(uri, text)
    for name in sorted(query.keys() - RECORDS_QUERY):
        raise ConfigurationError(
            f"{name!r} in {uri!r} is unknown: a file's URI takes format, columns, delimiter and items"
        )
    return query
