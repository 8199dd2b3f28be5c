"""What may stand behind the `?` of a file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from pipeline.ends.records import RECORDS_QUERY
from pipeline.ends.uris import query_of
from transforms.errors import ConfigurationError
from transforms.files.folder_options import FOLDER_QUERY, FORMATS
from transforms.rows import FORMATS as OF_LINES

#: What may be a query behind a path, where `?` is any character, too.
_PATH_QUERY = re.compile(r"[a-z_]+=[^/]*")


def at_home(path: str) -> str:
    """A path whose `~` the shell left alone, as in `--sink=~/news` or in quotes; `./~` is that name."""
    return path if "://" in path or os.path.lexists(path) else os.path.expanduser(path)


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
        ConfigurationError: It asks for what neither a source nor a sink has.
    """
    query = query_of(uri, text)
    for name in sorted(query.keys() - RECORDS_QUERY - {*FOLDER_QUERY}):
        raise ConfigurationError(
            f"{name!r} in {uri!r} is unknown: a file's URI takes format, columns, delimiter and items, "
            f"as a sink format, {', '.join(FOLDER_QUERY)}"
        )
    return query


def check_format(uri: str, form: str | None) -> None:
    """Checks that there is such a format, of files that are read or of a folder that is written.

    Raises:
        ConfigurationError: There is none.
    """
    if form is not None and form not in {*OF_LINES, *FORMATS}:
        raise ConfigurationError(
            f"format={form!r} in {uri!r} is unknown: give {', '.join(OF_LINES)} for what is read, "
            f"{', '.join(FORMATS)} for a folder that is written"
        )


def check_source_query(uri: str, query: Mapping[str, str]) -> None:
    """Checks a query of files that are read.

    Raises:
        ConfigurationError: It asks for what only sinks have.
    """
    for name in sorted(query.keys() & {*FOLDER_QUERY}):
        raise ConfigurationError(f"--source {uri!r}: {name} is for sinks only, drop it")
    form = query.get("format")
    if form is not None and form not in OF_LINES:
        raise ConfigurationError(
            f"--source {uri!r}: format={form} is for sinks only (what is Parquet or compressed is seen "
            f"by its content): give {', '.join(OF_LINES)}, or drop it"
        )


def check_sink_query(flag: str, uri: str, query: Mapping[str, str]) -> None:
    """Checks a query of a file or folder that is written to.

    Raises:
        ConfigurationError: It asks for what only sources have.
    """
    for name in sorted(query.keys() - {"format", *FOLDER_QUERY}):
        raise ConfigurationError(f"{flag} {uri!r}: {name} is for sources only, drop it")
