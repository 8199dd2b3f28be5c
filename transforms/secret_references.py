"""Values that only say where a secret is, so that a job holds none: `env://NAME`, `secret://…`.

    sasl_plain_password = secret://projects/my-project/secrets/kafka/versions/latest
    sasl_plain_password = env://KAFKA_PASSWORD

They are read where a connection is made, which is on the workers, by each of their processes.
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable

from transforms.errors import ConfigurationError

_ENV, _SECRET = "env://", "secret://"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VERSION = re.compile(r"(projects/[^/\s]+/secrets/[^/\s]+)(/versions/[^/\s]+)?")
#: How long a secret is known, in seconds: who connects later than that sees what it was changed to.
KNOWN_FOR = 300.0
#: How long Secret Manager may take to answer, in seconds.
TIMEOUT = 20.0

_known: dict[str, tuple[float, str]] = {}
_lock = threading.Lock()


class SecretUnavailable(ConfigurationError):
    """A secret can't be had. The message is one line, without it.

    Attributes:
        retriable: Whether it may be had later.
    """

    def __init__(self, message: str, retriable: bool = False) -> None:
        super().__init__(message)
        self.retriable = retriable


def is_reference(value: object) -> bool:
    """Whether a value says where a secret is."""
    return isinstance(value, str) and value.startswith((_ENV, _SECRET))


def check_reference(name: str, value: object) -> None:
    """Checks the form of a reference; anything else passes.

    Args:
        name: What it stands for, for the error.
        value: The value.

    Raises:
        ConfigurationError: It is none.
    """
    if not is_reference(value):
        return
    text = str(value)
    if text.startswith(_ENV) and not _NAME.fullmatch(text[len(_ENV) :]):
        raise ConfigurationError(f"{name}={text!r} names no variable: write env://NAME")
    if text.startswith(_SECRET) and not _VERSION.fullmatch(text[len(_SECRET) :]):
        raise ConfigurationError(
            f"{name}={text!r} names no secret: write secret://projects/PROJECT/secrets/NAME"
            "[/versions/VERSION]"
        )


def resolved(value: str) -> str:
    """The secret that a reference names; any other value is itself.

    Raises:
        SecretUnavailable: It can't be had in this process.
    """
    if not is_reference(value):
        return value
    check_reference("it", value)
    if value.startswith(_ENV):
        name = value[len(_ENV) :]
        if name not in os.environ:
            raise SecretUnavailable(
                f"{value} is not set in this process: set {name} in the environment of the workers, "
                "and of the command line where it checks servers (or leave that: --skip_checks)"
            )
        return os.environ[name]
    with _lock:
        found = _known.get(value)
        if found is None or time.monotonic() - found[0] > KNOWN_FOR:
            name, version = _VERSION.fullmatch(value[len(_SECRET) :]).groups()  # type: ignore[union-attr]
            secret = _ask(f"{name}{version or '/versions/latest'}")
            found = _known[value] = (time.monotonic(), secret)
        return found[1]


def _ask(version: str) -> str:
    """Asks Secret Manager."""
    try:
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError
        from google.cloud import secretmanager
    except ImportError:
        raise SecretUnavailable(
            f"secret://{version} needs Google's client: pip install google-cloud-secret-manager"
        ) from None
    try:
        answer = secretmanager.SecretManagerServiceClient().access_secret_version(
            name=version, timeout=TIMEOUT
        )
    except GoogleAuthError as e:
        raise SecretUnavailable(
            f"secret://{version}: there are no credentials for Google Cloud ({type(e).__name__})"
        ) from None
    except exceptions.GoogleAPICallError as e:
        retriable = isinstance(e, exceptions.ServerError | exceptions.TooManyRequests)
        fix = (
            "it is asked again"
            if retriable
            else "check its name, and give the account roles/secretmanager.secretAccessor"
        )
        raise SecretUnavailable(
            f"secret://{version}: Secret Manager says {type(e).__name__}: {fix}", retriable
        ) from None
    try:
        # A line's end that an editor left there is part of no password.
        return str(answer.payload.data.decode()).rstrip("\r\n")
    except UnicodeDecodeError:  # which would take the secret along
        raise SecretUnavailable(
            f"secret://{version} holds no text: store it as text, certificates in PEM format"
        ) from None


def as_file(value: str) -> str:
    """The path of a file that holds what a reference names; any other value is a path itself.

    Raises:
        SecretUnavailable: It can't be had in this process.
    """
    return _file(value, resolved(value)) if is_reference(value) else value


@functools.lru_cache(maxsize=64)
def _file(reference: str, content: str) -> str:
    """A file of ours, which nobody else reads and which goes with the process."""
    handle, path = tempfile.mkstemp(suffix=".pem", dir=_folder())
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content if content.endswith("\n") else f"{content}\n")
    return path


@functools.cache
def _folder() -> str:
    folder = tempfile.mkdtemp(prefix="newsbeam-secrets-")
    _at_exit(shutil.rmtree, folder)
    return folder


def _at_exit(remove: Callable[..., object], folder: str) -> None:
    """A child made by fork must not take its parent's files along."""
    ours = os.getpid()
    atexit.register(lambda: os.getpid() == ours and remove(folder, ignore_errors=True))
