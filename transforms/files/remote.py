"""Files elsewhere: Beam's file systems, asked once before the start whether they answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from transforms.errors import ConfigurationError
from transforms.files.stores import STORES, beam_options, store_of

#: How long a store may take to answer, in seconds.
ANSWER = 30.0
#: What gives credentials.
_CREDENTIALS = {
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
}


#: The rights that it takes.
_RIGHTS = {"write to": "create, list and delete", "read": "list and get"}


def file_systems() -> Any:
    """Beam's `FileSystems`, with options where no pipeline has given any: S3's does not go without."""
    # Not needed for what is here, and slow.
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.value_provider import RuntimeValueProvider

    if FileSystems._pipeline_options is None and RuntimeValueProvider.runtime_options is None:
        FileSystems.set_options(beam_options())
    return FileSystems


def check_source(flag: str, path: str) -> None:
    """Asks an object store once for what a source names: Beam itself would wait ten minutes.

    Args:
        flag: The option that named it, for messages.
        path: A path or pattern on any file system.

    Raises:
        ConfigurationError: It can't be listed; says why and what to do.
    """
    if path.partition("://")[0].lower() not in STORES:
        return

    def ask() -> None:
        store, key = store_of(path)
        store.list(key.partition("*")[0], limit=1)

    try:
        in_time(ask)
    except ConfigurationError as e:
        raise ConfigurationError(f"{flag}: {e}") from None
    except Exception as e:  # each store has errors of its own
        raise ConfigurationError(f"{flag} {path!r}: {told(path, e, 'read')}") from None


def in_time(act: Callable[[], None]) -> None:
    """Does something, unless it takes too long: clients wait minutes for who doesn't answer.

    Raises:
        TimeoutError: It takes too long.
        Exception: What it raises.
    """
    failed: list[Exception] = []

    def run() -> None:
        try:
            act()
        except Exception as e:
            failed.append(e)

    thread = threading.Thread(target=run, name="newsbeam-check", daemon=True)
    thread.start()
    thread.join(ANSWER)
    if thread.is_alive():
        raise TimeoutError(f"it has not answered in {ANSWER:.0f} s")
    if failed:
        raise failed[0]


def told(path: str, error: Exception, what: str = "write to") -> str:
    """What a store's error means, and what to do.

    Args:
        path: The address.
        error: The error.
        what: What was tried: `write to` or `read`.
    """
    scheme, _, rest = path.partition("://")
    bucket = rest.partition("/")[0]
    reason = " ".join(str(error).split())[:200]
    name = type(error).__name__
    status = _status_of(error)
    if name in {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"}:
        return f"there are no credentials for {scheme}://: {_CREDENTIALS[scheme.lower()]}"
    if status == 404:
        return f"there is no bucket {bucket!r}: make it, or check the name"
    if status in {401, 403}:
        return (
            f"not allowed to {what} bucket {bucket!r}: grant these credentials to {_RIGHTS[what]} "
            f"objects there ({reason})"
        )
    return f"can't {what} bucket {bucket!r}: {reason or name}"


def _status_of(error: Any) -> int:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return int(getattr(error, "code", None) or 0)
