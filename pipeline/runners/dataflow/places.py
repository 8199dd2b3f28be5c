"""Where a job's files are staged: asked once, for a moment, before Beam would try for minutes."""

from __future__ import annotations

import io
import re
import uuid

from transforms.errors import ConfigurationError
from transforms.files.remote import in_time, told
from transforms.files.stores import store_of

_PLACE = re.compile(r"gs://[a-z0-9][-_a-z0-9.]+[a-z0-9]/.*")


def check_place(flag: str, path: str, *, ask: bool) -> None:
    """Checks that a job's files can be staged there.

    Args:
        flag: The option that names it.
        path: Its value.
        ask: Whether to ask Google Cloud Storage; otherwise its form is looked at.

    Raises:
        ConfigurationError: It is no address there, or can't be written.
    """
    if not _PLACE.fullmatch(path):
        bucket = path.removeprefix("gs://").strip("/") or "BUCKET"
        raise ConfigurationError(
            f"{flag}={path} is no folder in Google Cloud Storage: give gs://BUCKET/FOLDER"
            + (f", such as gs://{bucket}/newsbeam" if path.startswith("gs://") else "")
        )
    if not ask:
        return
    try:
        in_time(lambda: _try(path))
    except Exception as e:  # each client has errors of its own
        raise ConfigurationError(f"{flag}={path}: {told(path, e)}") from None


def _try(path: str) -> None:
    store, key = store_of(path)
    key = f"{key.strip('/')}/newsbeam-check-{uuid.uuid4().hex[:10]}".lstrip("/")
    store.put(key, io.BytesIO())
    store.delete([key])
