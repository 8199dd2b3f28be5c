"""Which newsbeam this is, so that a worker of another one says so instead of something obscure."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import logging
from pathlib import Path
from typing import Any, NamedTuple

from transforms.failures import PipelineFailure

log = logging.getLogger("newsbeam")

#: What runs on workers, and the folder that it lies in: of a checkout, or of an environment.
PACKAGES = ("models", "transforms", "pipeline")
ROOT = Path(__file__).resolve().parents[1]
_UNKNOWN = "of an unknown version"


class Release(NamedTuple):
    """A newsbeam.

    Attributes:
        version: Its version.
        digest: 8 hexadecimal digits over its code.
    """

    version: str
    digest: str


@functools.cache
def release() -> Release:
    """The one that runs here."""
    try:
        version = importlib.metadata.version("newsbeam")
    except importlib.metadata.PackageNotFoundError:  # a checkout that is not installed
        version = _UNKNOWN
    digest = hashlib.sha256()
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            digest.update(file.relative_to(ROOT).as_posix().encode())
            digest.update(file.read_bytes())
    return Release(version, digest.hexdigest()[:8])


class Stamp:
    """Says which newsbeam has pickled it; another one refuses to unpickle it, and says why.

    It stands in steps, which every submission makes anew, and never in elements or restrictions: those
    outlive an upgrade in savepoints.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, tuple(release())


def _arrived(version: str, digest: str) -> Stamp:
    """A stamp that has come to this process.

    Raises:
        PipelineFailure: It was made by another version.
    """
    ours = release()
    if _UNKNOWN not in {version, ours.version} and version != ours.version:
        raise PipelineFailure(
            f"this worker has newsbeam {ours.version}, and the job was made by {version}: give the "
            "workers that one (another image, or another environment of the worker pool), or submit "
            "with theirs"
        )
    if digest != ours.digest:
        _warn(digest, ours.digest)
    return Stamp()


@functools.cache
def _warn(theirs: str, ours: str) -> None:
    """Once a process: a version may have several states while it is worked on."""
    log.warning(
        "this worker has other code of newsbeam (%s) than what made the job (%s), though of one "
        "version: results may differ",
        ours,
        theirs,
    )
