"""The folder that an export makes: whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.bundle import Bundle
from models.errors import BundleError
from models.verify import verify


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Gives a folder to fill, whose files become the target's if nothing fails.

    Args:
        target: The folder to make; it may exist, but must be empty.

    Raises:
        BundleError: It cannot be made or written to, or holds something.
    """
    target = check_new(target)
    try:
        there = target.is_dir()
        target.parent.mkdir(parents=True, exist_ok=True)
        # A folder that exists is filled from inside: it may be where somebody stands, or a mount,
        # in a place that cannot be written to. Any other is one rename away.
        with tempfile.TemporaryDirectory(
            dir=target if there else target.parent,
            prefix=f".{target.name}-",
            ignore_cleanup_errors=True,
        ) as temporary:
            # Called as it will be: the name is part of the bundle.
            folder = Path(temporary) / target.name
            folder.mkdir()
            yield folder
            if there:
                # config.json last: without it, no folder is a bundle.
                for file in sorted(folder.iterdir(), key=lambda f: f.name == "config.json"):
                    file.rename(target / file.name)
            else:
                folder.rename(target)
    except OSError as e:
        raise BundleError(
            f"folder {target}: cannot be made ({e}); name one that can be written to"
        ) from e


def check_new(target: Path) -> Path:
    """Refuses a folder that `new_folder` would, before the work that is to fill it.

    Returns:
        The folder, as an absolute path.

    Raises:
        BundleError: It is a file, or holds something.
    """
    try:
        target = target.expanduser().resolve()
        if target.exists() and not target.is_dir():
            raise BundleError(f"folder {target}: is a file; name a new folder")
        if target.is_dir() and any(target.iterdir()):
            raise BundleError(f"folder {target}: is not empty; name a new folder")
    except OSError as e:
        raise BundleError(
            f"folder {target}: cannot be made ({e}); name one that can be written to"
        ) from e
    return target


def load_new(folder: Path, source: str) -> Bundle:
    """Loads and verifies a bundle in a folder that `new_folder` gave, thoroughly.

    Args:
        folder: The folder.
        source: What it is made of, as the user named it: errors name that, for the folder is gone
            when they are read.

    Raises:
        BundleError: The bundle cannot be used.
    """
    try:
        bundle = Bundle.load(folder)
        verify(bundle, thorough=True)
    except BundleError as e:
        raise BundleError(str(e).replace(f"model {folder}", f"model {source!r}")) from e
    return bundle
