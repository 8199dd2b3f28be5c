"""A folder in an object store: bundles are objects of their own until they become files.

Where an object can't be appended to, and a worker's disk may be gone with it, a bundle is one object
under `.newsbeam/JOURNAL/`, and is done when the store has it. The process that wrote these makes the
files of them, out of a copy on its own disk, and deletes them.

Nobody can lock an object. So a process says now and then that it lives; the journals of one that has
not for a while are completed by another. If that one was only asleep, both may make files of the same
bundles, under different names: doubles, but no loss. The clock is the store's.
"""

from __future__ import annotations

import io
import logging
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TypeVar

from transforms.files.journal import Journal
from transforms.files.places import HIDDEN, Kept, Place, new_name
from transforms.files.stores import Found, store_of
from transforms.patience import Patience

log = logging.getLogger("newsbeam.files")
T = TypeVar("T")

#: After how long without a sign of life a process counts as gone, in seconds: four times what passes
#: between two.
GONE = 120.0
#: How long to wait between two looks at whether others live, in seconds.
WAIT = 5.0
#: What begins the names of signs of life, of bundles, and of marks that they have become files.
_ALIVE, _PART, _DONE = "alive-", "part-", "done-"


class _Patience(Patience):
    log = log


class ObjectPlace(Place):
    """A folder in an object store.

    Args:
        path: `gs://bucket/folder` or `s3://bucket/folder`.
    """

    def __init__(self, path: str) -> None:
        self._path = path.rstrip("/")
        self._store, key = store_of(path)
        self._base = f"{key.strip('/')}/" if key.strip("/") else ""
        self._hidden = f"{self._base}{HIDDEN}/"
        self._process = uuid.uuid4().hex[:10]
        self._sign = f"{self._hidden}{_ALIVE}"
        self._begun = 0
        self._tended = 0.0

    def adopt(self, ending: str) -> Kept | None:
        # Whose they are is known after a while only.
        return None

    def begin(self, ending: str) -> Kept:
        if not self._begun:
            self.tend()
        self._begun += 1
        name = f"{new_name(self._process)}-{self._begun}"
        return _ObjectKept(self, f"{self._hidden}{name}.{ending}/")

    def tend(self) -> None:
        self.do(lambda: self._store.put(self._sign + self._process, io.BytesIO()))
        self._tended = time.monotonic()

    def left_behind(self, *, last: bool = False) -> Iterator[Kept]:
        signs: dict[str, float] = {}
        while True:
            found = self.list(self._hidden)
            alive = self._signs(found)
            now = alive.get(self._process)
            if now is None:
                return
            gone = {process for process, at in alive.items() if now - at > GONE}
            journals = self._journals(found)
            for prefix, process in journals.items():
                if process in gone or process not in alive:
                    yield _ObjectKept(self, prefix, self.list(prefix))
            self.delete([self._sign + process for process in sorted(gone)])
            # Who lives will say so while we wait; of the others we know in the end.
            in_doubt = {*journals.values()} & {
                p for p in alive if alive[p] == signs.get(p, alive[p])
            }
            if not last or not in_doubt - gone:
                return
            if not signs:
                log.info(
                    "%s: others left bundles there: waiting up to %.0f s to see whether they live",
                    self._path,
                    GONE,
                )
            signs = {**alive, **signs}
            time.sleep(WAIT)
            self.tend()

    def _signs(self, found: Sequence[Found]) -> dict[str, float]:
        """When each process last said that it lives."""
        sign = self._sign
        return {f.key.removeprefix(sign): f.updated for f in found if f.key.startswith(sign)}

    def _journals(self, found: Sequence[Found]) -> dict[str, str]:
        """What the names of the objects of others' journals begin with, and whose each is."""
        names = (f.key.removeprefix(self._hidden).partition("/") for f in found)
        journals = {name: name.split("-")[1] for name, slash, _ in names if slash}
        return {
            f"{self._hidden}{name}/": process
            for name, process in sorted(journals.items())
            if process != self._process
        }

    def put(self, path: str, write: Callable[[IO[bytes]], None]) -> None:
        # Many large files take long, and others must not take this process for gone.
        if time.monotonic() - self._tended > GONE / 4:
            self.tend()
        with tempfile.TemporaryFile() as file:
            write(file)
            self.put_object(self._base + path, file)

    def leave(self) -> None:
        if self._begun:
            self.delete([self._sign + self._process])

    def put_object(self, key: str, body: IO[bytes]) -> None:
        """Makes an object, however long that takes."""

        def put() -> None:
            body.seek(0)
            self._store.put(key, body)

        self.do(put)

    def list(self, prefix: str) -> list[Found]:
        """The objects whose names begin so."""
        return self.do(lambda: self._store.list(prefix))

    def get(self, key: str) -> bytes:
        """The content of an object.

        Raises:
            FileNotFoundError: It is not there.
        """
        return self.do(lambda: self._store.get(key))

    def delete(self, keys: Sequence[str]) -> None:
        """Deletes objects."""
        if keys:
            self.do(lambda: self._store.delete(keys))

    def do(self, act: Callable[[], T]) -> T:
        """Does something, again and again as long as what fails may pass."""
        patience = _Patience(f"writing to {self._path}")
        while True:
            try:
                return act()
            except Exception as e:  # each store has errors of its own
                if not self._store.is_passing(e):
                    raise
                patience.wait(e)


class _ObjectKept(Kept):
    """A journal whose bundles are objects; a copy of it is on this machine.

    Args:
        place: Its place.
        prefix: What the names of its objects begin with.
        found: The objects of one that another process has left; None begins a new one.
    """

    def __init__(
        self, place: ObjectPlace, prefix: str, found: Sequence[Found] | None = None
    ) -> None:
        self._place = place
        self._prefix = prefix
        self._base, _, self._ending = prefix.rstrip("/").rpartition("/")[2].partition(".")
        self._parts: list[int] = []
        self.journal = self._copy(())
        if found is not None:
            self._read(found)

    @property
    def name(self) -> str:
        # With what it is made of: one that has more of it, or less, is another file.
        return f"{self._base}-{self._parts[0]}-{self._parts[-1]}" if self._parts else self._base

    def append(self, frame: bytes) -> None:
        number = self._parts[-1] + 1 if self._parts else 1
        self._place.put_object(self._key(_PART, number), io.BytesIO(frame))
        self.journal.append(frame)
        self._parts.append(number)

    def seal(self) -> None:
        found = self._place.list(self._prefix)
        if self._numbers(found, _PART) != self._parts:
            # While this process was asleep, another one took it for gone.
            self._read(found)

    def remove(self) -> None:
        if self._parts:
            # What is deleted one by one must not become other files meanwhile.
            done = self._key(_DONE, self._parts[-1])
            self._place.put_object(done, io.BytesIO())
            self._place.delete([self._key(_PART, number) for number in self._parts])
            self._place.delete([done])
        self.let_go()

    def let_go(self) -> None:
        self.journal.close()

    def _read(self, found: Sequence[Found]) -> None:
        """Takes over what is there, and has not become files yet."""
        while True:
            through = max(self._numbers(found, _DONE), default=0)
            parts = self._numbers(found, _PART)
            self._place.delete([self._key(_PART, number) for number in parts if number <= through])
            self._place.delete([self._key(_DONE, n) for n in self._numbers(found, _DONE)])
            left = [number for number in parts if number > through]
            try:
                journal = self._copy(self._place.get(self._key(_PART, n)) for n in left)
                break
            except FileNotFoundError:
                # Somebody else has made files of it, and is deleting it: what is left now?
                found = self._place.list(self._prefix)
        self.journal.close()
        self.journal, self._parts = journal, left

    def _copy(self, frames: Iterable[bytes]) -> Journal:
        file = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            for frame in frames:
                file.write(frame)
            file.flush()
            size = file.tell()
            journal = Journal(file, self._ending)
            if journal.size != size:
                # Of a file half a bundle may be left by a kill; objects are whole.
                raise OSError(f"a bundle in {self._prefix} is damaged after {journal.size} bytes")
            return journal
        except BaseException:
            file.close()
            raise

    def _numbers(self, found: Sequence[Found], kind: str) -> list[int]:
        begin = self._prefix + kind
        return sorted(int(f.key.removeprefix(begin)) for f in found if f.key.startswith(begin))

    def _key(self, kind: str, number: int) -> str:
        return f"{self._prefix}{kind}{number:08}"
