"""Checks of a folder sink before anything starts: can it be written, and by whom."""

from __future__ import annotations

import io
import os
import tempfile
import threading
import uuid
from collections.abc import Callable
from typing import Any

from transforms.errors import ConfigurationError
from transforms.files.folder_options import FolderOptions
from transforms.files.partitions import NOT_OF_ITEMS, NOT_OF_LETTERS
from transforms.files.paths import is_local
from transforms.files.places import HIDDEN
from transforms.files.stores import store_of

#: How long a store may take to answer, in seconds.
ANSWER = 30.0
#: What gives credentials.
_CREDENTIALS = {
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
}


def check_folder(flag: str, options: FolderOptions, *, letters: bool) -> None:
    """Checks that files can be written to a folder, by writing one and removing it.

    Args:
        flag: The option that named it, for messages: `--sink`.
        options: The folder.
        letters: Whether dead letters go there.

    Raises:
        ConfigurationError: They can't; says why and what to do.
    """
    unfit = NOT_OF_LETTERS if letters else NOT_OF_ITEMS
    if unfit in options.partition_by:
        what, has = ("dead letters", "stage") if letters else ("items", "category")
        raise ConfigurationError(
            f"{flag} {options.name!r}: {what} have no {unfit}: partition them by {has}, date or hour"
        )
    if is_local(options.path):
        _check_local(flag, options)
    else:
        _check_remote(flag, options)


def _check_local(flag: str, options: FolderOptions) -> None:
    path = os.path.abspath(options.path)
    if os.path.lexists(path) and not os.path.isdir(path):
        raise ConfigurationError(
            f"{flag} {options.name!r} is there and is no folder: name another, or move it away"
        )
    there = path
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    try:
        # What is asked is whether a file can be made: rights alone say little (read-only disks).
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as e:
        raise ConfigurationError(
            f"{flag} {options.name!r}: can't write to the folder {there}: {e.strerror or e}"
        ) from None


def _check_remote(flag: str, options: FolderOptions) -> None:
    try:
        _in_time(lambda: _try(options.path))
    except ConfigurationError as e:
        raise ConfigurationError(f"{flag}: {e}") from None
    except Exception as e:  # each store has errors of its own
        raise ConfigurationError(f"{flag} {options.name!r}: {_told(options.path, e)}") from None


def _in_time(act: Callable[[], None]) -> None:
    """Does something, unless it takes too long: clients wait minutes for who doesn't answer."""
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


def _try(path: str) -> None:
    store, key = store_of(path)
    key = f"{key.strip('/')}/{HIDDEN}/check-{uuid.uuid4().hex[:10]}".lstrip("/")
    store.put(key, io.BytesIO())
    store.list(key, limit=1)
    store.delete([key])


def _told(path: str, error: Exception) -> str:
    """What a store's error means, and what to do."""
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
            f"not allowed to write to bucket {bucket!r}: grant these credentials to create, list "
            f"and delete objects there ({reason})"
        )
    return f"can't write to bucket {bucket!r}: {reason or name}"


def _status_of(error: Any) -> int:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return int(getattr(error, "code", None) or 0)
