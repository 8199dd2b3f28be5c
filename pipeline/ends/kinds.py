"""The kinds of ends that there are, found by the scheme of their URIs.

A new kind is a module with an `End`, and its name in `KINDS`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from models.settings import SettingsSet
from pipeline.ends.bigquery.end import BigQueryEnd
from pipeline.ends.end import End
from pipeline.ends.files.end import FileEnd
from pipeline.ends.kafka.end import KafkaEnd
from pipeline.ends.pubsub.end import PubSubEnd
from pipeline.ends.std import StdEnd
from pipeline.ends.uris import shown
from transforms.errors import ConfigurationError

KINDS: tuple[type[End], ...] = (KafkaEnd, PubSubEnd, BigQueryEnd, FileEnd, StdEnd)
#: The options that are one kind's own.
KIND_OPTIONS: tuple[type, ...] = tuple(kind.OPTIONS for kind in KINDS if kind.OPTIONS is not None)

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):(//)?")
_BY_SCHEME = {scheme: kind for kind in KINDS for scheme in kind.SCHEMES}


def parse(uri: str) -> End:
    """Reads the URI of an end.

    Raises:
        ConfigurationError: The scheme is unknown or the URI is incomplete; says how it should be.
    """
    if uri == "-" or uri.startswith("-?"):
        return StdEnd.parse(uri)
    if not uri:
        raise ConfigurationError(f"an endpoint is empty: give {_forms()}")
    scheme = _SCHEME.match(uri)
    if scheme is None:
        return FileEnd.parse(uri)
    kind = _BY_SCHEME.get(scheme[1].lower())
    if kind is None:
        raise ConfigurationError(
            f"unknown scheme {scheme[1].lower()!r} in {shown(uri)!r}: give {_forms()}"
        )
    return kind.parse(uri)


def recognized(ends: Sequence[End], options: SettingsSet, skip: Collection[str] = ()) -> list[End]:
    """The same ends, with what tells whether two of them are one place; asks servers.

    Args:
        ends: The ends.
        options: The options.
        skip: Schemes whose servers are not asked.

    Raises:
        ConfigurationError: A server can't be reached.
    """
    found = {
        id(end): known
        for kind in KINDS
        for mine in [[end for end in ends if type(end) is kind]]
        for known_of in [mine if set(kind.SCHEMES) & set(skip) else kind.recognized(mine, options)]
        for end, known in zip(mine, known_of, strict=True)
    }
    return [found[id(end)] for end in ends]


def _forms() -> str:
    return ", ".join(kind.FORM for kind in KINDS)
