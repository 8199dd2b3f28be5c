"""How far a run over files has come: what it wrote so far, and where it goes on when run again.

Outputs grow in part files beside their targets and are put in place when the run is complete. A
progress file says up to which message of the source the part files hold everything, and how long
they were then: what a run that was killed wrote after that is cut off.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Sequence

import msgspec

from transforms.files.parquet import write_rows
from transforms.files.partitions import ITEMS
from transforms.files.read import Position, sizes_of
from transforms.files.write import compressed
from transforms.tally import TALLY

log = logging.getLogger("newsbeam")

#: How often the progress is written, in seconds: what comes after it is read again after a kill.
EVERY = 1.0


class Part:
    """A file that grows beside its target until it is complete.

    It grows as JSON lines where the target is Parquet, to which nothing can be appended.

    Args:
        target: The file's name; links are followed.
        kind: What it holds: `news` or `dead-letters`.
    """

    def __init__(self, target: str, kind: str = ITEMS) -> None:
        self.target = os.path.realpath(target)
        self._kind = kind
        folder, name = os.path.split(self.target)
        self.path = os.path.join(folder, f".{name}.newsbeam-part")

    def size(self) -> int:
        """How long it is."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.getsize(self.path)
        return 0

    def cut(self, size: int) -> None:
        """Cuts off what is behind a size."""
        if self.size() > size:
            os.truncate(self.path, size)

    def put_in_place(self) -> None:
        """Makes it the target; where nothing was written, an empty one."""
        if not os.path.exists(self.path):
            with open(self.path, "wb") as f:
                f.write(compressed(self.target, b""))
        if self.target.lower().endswith(".parquet"):
            self._to_parquet()
        else:
            os.replace(self.path, self.target)

    def _to_parquet(self) -> None:
        made = f"{self.path}-made"
        with open(self.path, "rb") as lines, open(made, "wb") as file:
            write_rows(file, self._kind, lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, self.target)
        self.remove()

    def remove(self) -> None:
        """Removes it."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


class _Saved(msgspec.Struct):
    """What a progress file holds."""

    run: str
    position: Position
    parts: list[int]


def fingerprint(paths: Sequence[str], options: str) -> str:
    """Tells one run from another: its source files as they are, and what is done with them."""
    digest = hashlib.sha256(options.encode())
    for path in paths:
        with contextlib.suppress(OSError):
            found = os.stat(path)
            digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    return digest.hexdigest()


class Progress:
    """The progress of a run; pickled into the pipeline as its names.

    Args:
        path: The progress file; None keeps nothing, and each run begins anew.
        run: The fingerprint of the run.
        parts: The files it writes.
    """

    def __init__(self, path: str | None, run: str, parts: Sequence[Part]) -> None:
        self.path = path
        self.run = run
        self.parts = tuple(parts)
        self._warned = False
        self._written = 0.0

    def resume(self) -> Position:
        """Where the run goes on: part files are as they were there."""
        saved = self._saved()
        if saved is None:
            for part in self.parts:
                part.remove()
            return Position()
        for part, size in zip(self.parts, saved.parts, strict=True):
            part.cut(size)
        log.info(
            "going on where the last run ended: after message %s of file %s",
            f"{saved.position.messages:,}",
            saved.position.file + 1,
        )
        return saved.position

    def _saved(self) -> _Saved | None:
        if self.path is None:
            return None
        try:
            with open(self.path, "rb") as f:
                saved = msgspec.json.decode(f.read(), type=_Saved)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as e:
            log.warning("%s can't be read, the run begins anew: %s", self.path, e)
            return None
        if saved.run != self.run:
            log.info(
                "the run begins anew: source or options have changed since the one that was "
                "interrupted"
            )
            return None
        if len(saved.parts) != len(self.parts) or any(
            part.size() < size for part, size in zip(self.parts, saved.parts, strict=True)
        ):
            log.info("the run begins anew: what the one before wrote is gone")
            return None
        return saved

    def __call__(self, position: Position) -> None:
        """Notes that everything up to a position is written."""
        now = time.monotonic()
        if now - self._written >= EVERY:
            self.save(position)
            self._written = now

    def save(self, position: Position) -> None:
        """Writes a position now."""
        if self.path is None:
            return
        try:
            self._save(self.path, position)
            TALLY.committed(self.path)
        except OSError as e:
            # The records are what counts: without it, a run that is killed begins anew.
            why = f"the progress can't be kept in {self.path}: {e.strerror or e}"
            TALLY.uncommitted(self.path, why)
            if not self._warned:
                log.warning("%s", why)
            self._warned = True

    def _save(self, path: str, position: Position) -> None:
        saved = _Saved(self.run, position, [part.size() for part in self.parts])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        new = path + ".new"
        with open(new, "wb") as f:
            f.write(msgspec.json.encode(saved))
            f.flush()
            os.fsync(f.fileno())
        os.replace(new, path)

    def finish(self) -> None:
        """The run is complete: files are put in place."""
        for part in self.parts:
            part.put_in_place()
        if self.path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)


class Share:
    """How much of files was read, for the status line.

    Args:
        paths: The files.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._sizes = sizes_of(paths)

    def bytes_read(self, place: tuple[int, int]) -> tuple[int, int]:
        """Bytes read and bytes in all, at a place in the files."""
        file, of_it = place
        return sum(self._sizes[:file]) + of_it, sum(self._sizes)
