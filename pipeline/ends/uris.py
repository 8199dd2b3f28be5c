"""URIs: their queries, and how they may be shown."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qsl

from transforms.errors import ConfigurationError
from transforms.kafka.names import is_secret
from transforms.secret_references import is_reference


def shown(uri: str) -> str:
    """A URI as an error may show it: whatever may be a password is left out."""
    if "@" in uri and "://" in uri:
        uri = f"{uri.partition('://')[0]}://…@{uri.rpartition('@')[2]}"
    head, mark, query = uri.partition("?")
    pairs = [(part, *part.partition("=")) for part in query.split("&")]
    return head + mark + "&".join(f"{n}=…" if is_secret(n) else part for part, n, _, _ in pairs)


def query_of(uri: str, text: str) -> dict[str, str]:
    """What stands behind the `?` of a URI.

    Args:
        uri: The URI, for messages.
        text: What stands there.

    Raises:
        ConfigurationError: A name stands there twice, or a secret.
    """
    pairs = parse_qsl(text, keep_blank_values=True)
    names = [name for name, _ in pairs]
    for name, value in pairs:
        if names.count(name) > 1:
            raise ConfigurationError(f"{name} stands twice in {uri!r}: give it once")
        if is_secret(name) and not is_reference(value):
            raise ConfigurationError(
                f"{name} in {uri!r} is a secret: set NEWSBEAM_KAFKA_{name.upper()}, or put it in a "
                "file for --kafka_config"
            )
    return dict(pairs)


def without(text: str, names: Collection[str]) -> str:
    """What stands behind the `?` of a URI, its mark included, but for some names."""
    left = [part for part in text.split("&") if part and part.partition("=")[0] not in names]
    return "?" + "&".join(left) if left else ""
