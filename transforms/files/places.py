"""Where a folder of files is: what it can do for the journals and the files in it."""

from __future__ import annotations

import abc
import contextlib
import datetime
import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from typing import IO

from transforms.files.journal import Journal

#: The folder in a sink's folder that holds its journals. Hidden from Spark, Hive and pyarrow, as all
#: that begins with a dot is, and from newsbeam.
HIDDEN = ".newsbeam"


class Kept(abc.ABC):
    """A journal that is durable.

    Attributes:
        journal: The journal.
    """

    journal: Journal

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What names its files."""

    @abc.abstractmethod
    def append(self, frame: bytes) -> None:
        """Appends a bundle's frame: it is durable when this returns."""

    @abc.abstractmethod
    def seal(self) -> None:
        """Ends it: from now on, it only becomes files, again and again the same ones."""

    @abc.abstractmethod
    def remove(self) -> None:
        """Removes it: its files are complete."""

    @abc.abstractmethod
    def let_go(self) -> None:
        """Leaves it to who comes next."""


class Place(abc.ABC):
    """A folder, on whichever file system."""

    @abc.abstractmethod
    def adopt(self, ending: str) -> Kept | None:
        """A journal for files of an ending that a killed run has left open, if there is one."""

    @abc.abstractmethod
    def begin(self, ending: str) -> Kept:
        """A new journal for files of an ending."""

    @abc.abstractmethod
    def left_behind(self, *, last: bool = False) -> Iterator[Kept]:
        """The journals of runs that are no more.

        Args:
            last: Wait until that is known of each.
        """

    @abc.abstractmethod
    def put(self, path: str, write: Callable[[IO[bytes]], None]) -> None:
        """Makes a file, which appears when it is complete and durable.

        Args:
            path: Its path within the folder.
            write: Writes it.
        """

    def tend(self) -> None:
        """Lets others know that this process lives."""
        return None

    def leave(self) -> None:
        """Lets others know that this process is done."""
        return None


def new_name(who: str) -> str:
    """A name for a journal, by time and by whose it is."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}-{who}"


class LocalPlace(Place):
    """A folder of this machine.

    A journal is a file in its hidden folder: `NAME.ENDING.open`, and `NAME.ENDING.sealed` when it
    becomes files. Its process has it locked, so that one that is not locked is nobody's.

    Args:
        path: The folder; made if it is not there.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._hidden = os.path.join(self._path, HIDDEN)

    def adopt(self, ending: str) -> Kept | None:
        return next(self._unlocked(f".{ending}.open"), None)

    def begin(self, ending: str) -> Kept:
        make_folder(self._hidden)
        return _LocalKept.create(self._hidden, new_name(uuid.uuid4().hex[:10]), ending)

    def left_behind(self, *, last: bool = False) -> Iterator[Kept]:
        yield from self._unlocked(".sealed")
        yield from self._unlocked(".open")

    def _unlocked(self, ending: str) -> Iterator[_LocalKept]:
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._hidden)):
                if name.endswith(ending):
                    kept = _LocalKept.take(os.path.join(self._hidden, name))
                    if kept is not None:
                        yield kept

    def put(self, path: str, write: Callable[[IO[bytes]], None]) -> None:
        target = os.path.join(self._path, path)
        folder, name = os.path.split(target)
        make_folder(folder)
        # Of this name, so that who does it again after a kill writes over it.
        growing = os.path.join(folder, f".{name}.newsbeam-part")
        try:
            with open(growing, "wb") as f:
                write(f)
                f.flush()
                os.fsync(f.fileno())
            os.replace(growing, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(growing)
            raise
        sync_folder(folder)


class _LocalKept(Kept):
    """A journal in a file of its own, locked by this process."""

    def __init__(self, path: str, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        base, _, _state = os.path.basename(path).rpartition(".")
        self._name, _, ending = base.partition(".")
        self.journal = Journal(file, ending)

    @property
    def name(self) -> str:
        return self._name

    @classmethod
    def create(cls, folder: str, name: str, ending: str) -> _LocalKept:
        """Makes a new one."""
        path = os.path.join(folder, f"{name}.{ending}.open")
        # Locked before it has a name that others look for.
        hidden = os.path.join(folder, f".{name}")
        file = open(hidden, "x+b", buffering=0)  # noqa: SIM115
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(hidden, path)
        sync_folder(folder)
        return cls(path, file)

    @classmethod
    def take(cls, path: str) -> _LocalKept | None:
        """Takes one that is there, unless it is another process's, or no more."""
        try:
            file = open(path, "r+b", buffering=0)  # noqa: SIM115
        except (FileNotFoundError, PermissionError):
            # Another user's is for that one to complete.
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Since it was opened, its owner may have sealed or removed it.
            if os.path.samestat(os.stat(path), os.fstat(file.fileno())):
                return cls(path, file)
        except (BlockingIOError, FileNotFoundError):
            pass
        file.close()
        return None

    def append(self, frame: bytes) -> None:
        self.journal.append(frame)
        os.fsync(self._file.fileno())

    def seal(self) -> None:
        if self._path.endswith(".sealed"):
            return
        sealed = self._path.removesuffix("open") + "sealed"
        os.rename(self._path, sealed)
        self._path = sealed
        sync_folder(os.path.dirname(sealed))

    def remove(self) -> None:
        os.unlink(self._path)
        self.let_go()

    def let_go(self) -> None:
        self.journal.close()


def make_folder(path: str) -> None:
    """Makes a folder and those above it, all of them durable."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    make_folder(above)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
    sync_folder(above)


def sync_folder(path: str) -> None:
    """Makes durable which files a folder has, where its file system can do that."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:
        pass
    finally:
        os.close(number)
