"""How to reach a schema registry: its URL, and what is secret from environment variables."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from transforms.errors import ConfigurationError
from transforms.secret_references import as_file, check_reference, is_reference, resolved

ENV_PREFIX = "NEWSBEAM_SCHEMA_REGISTRY_"
#: The variables, without their prefix; of these the first two, or the third.
NAMES = ("USER", "PASSWORD", "TOKEN", "CA", "CERTIFICATE", "KEY")
_FILES = ("CA", "CERTIFICATE", "KEY")
#: What Kubernetes says of a service that is called `newsbeam-schema-registry`, by variables of its own.
_OF_SERVICE = re.compile(r"(?:.+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT(?:_[0-9]+_.+)?)")


class SchemaRegistry:
    """How to reach a schema registry.

    Its `repr` and errors never show a secret. It is pickled with the steps that use it: secrets that
    stand in it go along, references to them are followed on the worker.

    Args:
        urls: Where it is; several are tried one after the other.
        secrets: User and password, or a token, and files for TLS, by `NAMES`.
    """

    def __init__(self, urls: tuple[str, ...], secrets: Mapping[str, str] | None = None) -> None:
        self.urls = urls
        self._secrets = dict(secrets or {})
        # Settings are keys of registries that are asked for each record.
        self._identity = (urls, *sorted(self._secrets.items()))
        self._hash = hash(self._identity)

    @classmethod
    def of(cls, url: str, environment: Mapping[str, str] | None = None) -> SchemaRegistry:
        """Gathers the settings.

        Args:
            url: `http://host:port`, or several with commas between.
            environment: Environment variables; the process's own by default.

        Raises:
            ConfigurationError: The URL is none, or holds a secret; a variable is unknown or lacks
                another; a file is not there.
        """
        urls = tuple(part.strip().rstrip("/") for part in url.split(","))
        for part in urls:
            _check_url(part)
        environment = os.environ if environment is None else environment
        secrets = {}
        for variable, text in environment.items():
            name = variable.removeprefix(ENV_PREFIX)
            if name == variable or not text or _OF_SERVICE.fullmatch(name):
                continue
            if name not in NAMES:
                near = difflib.get_close_matches(name, NAMES, 1) or NAMES
                known = ", ".join(ENV_PREFIX + known for known in near)
                raise ConfigurationError(f"{variable} is no setting: did you mean {known}?")
            check_reference(variable, text)
            if name in _FILES and not (is_reference(text) or os.path.isfile(text)):
                raise ConfigurationError(f"{variable}={text!r} is no file: give one in PEM format")
            secrets[name] = text
        for name, other in (("USER", "PASSWORD"), ("PASSWORD", "USER"), ("KEY", "CERTIFICATE")):
            if name in secrets and other not in secrets:
                raise ConfigurationError(
                    f"{ENV_PREFIX}{name} is set without {ENV_PREFIX}{other}: set that, too"
                )
        if "USER" in secrets and "TOKEN" in secrets:
            raise ConfigurationError(
                f"{ENV_PREFIX}USER and {ENV_PREFIX}TOKEN are both set: unset one of them"
            )
        return cls(urls, secrets)

    @property
    def login(self) -> tuple[str, str] | None:
        """User and password."""
        if "USER" not in self._secrets:
            return None
        return resolved(self._secrets["USER"]), resolved(self._secrets["PASSWORD"])

    @property
    def token(self) -> str | None:
        """The bearer token."""
        return resolved(self._secrets["TOKEN"]) if "TOKEN" in self._secrets else None

    @property
    def ca(self) -> str | None:
        """The file of the certificates that are trusted; None are the usual ones."""
        return self._file("CA")

    @property
    def certificate(self) -> str | tuple[str, str] | None:
        """The files of our own certificate, and of its key where that is in another."""
        certificate, key = self._file("CERTIFICATE"), self._file("KEY")
        return (certificate, key) if certificate and key else certificate

    def _file(self, name: str) -> str | None:
        return as_file(self._secrets[name]) if name in self._secrets else None

    def plain_secrets(self) -> list[str]:
        """The variables that hold a secret, and not only say where it is."""
        return sorted(
            ENV_PREFIX + name
            for name, value in self._secrets.items()
            if name not in {*_FILES, "USER"} and not is_reference(value)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SchemaRegistry) and self._identity == other._identity

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[object, ...]:
        # Hashes of strings differ from process to process.
        return SchemaRegistry, (self.urls, self._secrets)

    def __str__(self) -> str:
        return ",".join(self.urls)

    def __repr__(self) -> str:
        shown = {name: v if name in _FILES else "***" for name, v in self._secrets.items()}
        return f"SchemaRegistry({str(self)!r}, {shown})"


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        # It may hold a password where a URL has none.
        shown = "" if "@" in url else f"={url!r}"
        raise ConfigurationError(f"schema_registry{shown} is no URL: give http://host:port")
    if "@" in parts.netloc:
        raise ConfigurationError(
            "user and password can't stand in the URL of schema_registry: set "
            f"{ENV_PREFIX}USER and {ENV_PREFIX}PASSWORD"
        )
    if parts.query or parts.fragment:
        raise ConfigurationError(f"schema_registry={url!r} has a query: give http://host:port")
