"""Checks of a folder sink before anything starts: can it be written, and by whom."""

from __future__ import annotations

import io
import os
import tempfile
import uuid

from transforms.errors import ConfigurationError
from transforms.files.folder_options import FolderOptions
from transforms.files.partitions import NOT_OF_ITEMS, NOT_OF_LETTERS
from transforms.files.paths import is_local
from transforms.files.places import HIDDEN
from transforms.files.remote import in_time, told
from transforms.files.stores import store_of


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
        in_time(lambda: _try(options.path))
    except ConfigurationError as e:
        raise ConfigurationError(f"{flag}: {e}") from None
    except Exception as e:  # each store has errors of its own
        raise ConfigurationError(f"{flag} {options.name!r}: {told(options.path, e)}") from None


def _try(path: str) -> None:
    store, key = store_of(path)
    key = f"{key.strip('/')}/{HIDDEN}/check-{uuid.uuid4().hex[:10]}".lstrip("/")
    store.put(key, io.BytesIO())
    store.list(key, limit=1)
    store.delete([key])
