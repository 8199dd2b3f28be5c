"""The folder of a model of the user's own: a run that can be stopped, and then a bundle.

No torch here. What is not done yet is in a hidden folder of it, so that it never holds half a bundle.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from models.errors import BundleError

#: Where a run is until it is done.
HIDDEN = ".newsbeam-training"
#: The file there that says that the news were read and divided: from then on, a run has begun.
FACTS = "facts.json"
#: What a bundle is made of, in the order in which the files are moved to their place: without its
#: config.json, no folder is a bundle.
FILES = (
    "README.md",
    "curves.png",
    "evaluation.png",
    "tokenizer.json",
    "model_quantized.onnx",
    "config.json",
)


@dataclass(frozen=True)
class Asked:
    """What a run is asked for: it goes on where it was stopped if all of this is the same.

    Attributes:
        news: The name of the file of news, without its folder.
        digest: The SHA-256 of the file.
        start: Name and hash of the bundle that is trained on.
        epochs: How often each row is seen; None goes by how many there are.
        seed: What is drawn at random is drawn by it.
        held_out: The share of the rows that doesn't train.
    """

    news: str
    digest: str
    start: str
    epochs: float | None
    seed: int
    held_out: float


def digest(file: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        BundleError: It cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as e:
        raise BundleError(f"{file}: {e.strerror}; name a CSV file of labelled news") from e


@dataclass(frozen=True)
class Work:
    """A run's own folder, and where its bundle goes.

    Attributes:
        folder: The hidden folder.
        target: The folder of the bundle.
        resumed: Whether an earlier run of the same was stopped here.
    """

    folder: Path
    target: Path
    resumed: bool

    def publish(self, bundle: Path) -> None:
        """Moves the files of a finished bundle to their place, and takes the run away."""
        for name in FILES:
            os.replace(bundle / name, self.target / name)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def work_in(target: Path, asked: Asked) -> Iterator[Work]:
    """Begins a run in a folder, or goes on with one; nobody else works there meanwhile.

    Args:
        target: The folder: new, empty, or with a run of the same that was stopped.
        asked: What the run is asked for.

    Raises:
        BundleError: The folder cannot be made, holds something else or another run.
    """
    try:
        target = target.expanduser().resolve()
        if target.exists() and not target.is_dir():
            raise BundleError(f"--to {target}: is a file; name a new folder")
        folder = target / HIDDEN
        there = {entry.name for entry in target.iterdir()} if target.is_dir() else set()
        others = there - {HIDDEN, *(FILES if HIDDEN in there else ())}
        if others:
            raise BundleError(f"--to {target}: is not empty; name a new folder")
        new = not target.exists()
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            _lock(lock.fileno(), target)
            try:
                yield Work(folder, target, _begin(folder, target, asked))
            finally:
                if folder.exists() and not (folder / FACTS).exists():
                    # What was refused leaves nothing.
                    shutil.rmtree(folder, ignore_errors=True)
                    if new:
                        target.rmdir()
    except OSError as e:
        raise BundleError(
            f"--to {target}: cannot be written to ({e.strerror or e}); name another folder, or make "
            "room there"
        ) from e


def _lock(file: int, target: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BundleError(
            f"--to {target}: another `newsbeam model train` works there; wait for it, or name "
            "another folder"
        ) from None


def _begin(folder: Path, target: Path, asked: Asked) -> bool:
    """Notes what the run is asked for; whether one of the same has begun."""
    note = folder / "asked.json"
    if not (folder / FACTS).exists():
        note.write_text(json.dumps(asdict(asked)), encoding="utf-8")
        return False
    before = Asked(**json.loads(note.read_text(encoding="utf-8")))
    fix = f"or name another folder than {target}"
    if before.digest != asked.digest:
        raise BundleError(
            f"{asked.news}: is not the file that the run in {target} began with (it has changed, or "
            f"is another one than {before.news}); take that one, {fix}"
        )
    for option, old, new_one in (
        ("from", before.start, asked.start),
        ("epochs", before.epochs, asked.epochs),
        ("seed", before.seed, asked.seed),
        ("held_out", before.held_out, asked.held_out),
    ):
        if old != new_one:
            given = "without it" if old is None else f"with {old}"
            raise BundleError(
                f"--{option} {'left out' if new_one is None else new_one}: the run in {target} began "
                f"{given}; give the same, {fix}"
            )
    return True
