"""A folder as a sink: a new file in each of its folders now and then, each whole when it appears.

A bundle is done when it is in the journal of this process, in the hidden folder `.newsbeam`: on disk,
or in the object store. When its time has come, or it is large enough, the journal becomes files: one
for each folder (category, hour, …), each written under another name and then put in place. What makes
the files is their journal, by its name: who is killed in the middle is followed by one who makes the
same files again, and not others beside them.

A journal that a killed run left open is gone on with by the next one. What that run had written and
not committed in the source comes again, and is in the file once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

from transforms.failures import PipelineFailure
from transforms.files.folder_options import FolderOptions
from transforms.files.formats import write_file
from transforms.files.journal import frame
from transforms.files.objects import ObjectPlace
from transforms.files.partitions import Group
from transforms.files.paths import is_local
from transforms.files.places import Kept, LocalPlace, Place
from transforms.files.write import to_line
from transforms.per_process import PerProcess
from transforms.records import DeadLetter, Outcome
from transforms.writing import Sink, Writer

log = logging.getLogger("newsbeam.files")

#: Bytes of lines after which a bundle is written before its end: it bounds memory.
FULL = 16 * 1000**2
#: How many times `max_size` all groups of a journal may have together.
IN_ALL = 4
#: How often a process says that it lives, and looks for what others left behind, in seconds.
TEND = 30.0


def place_of(path: str) -> Place:
    """The place of a folder."""
    return LocalPlace(path) if is_local(path) else ObjectPlace(path)


class Folder:
    """What one process does to a folder: for any number of threads.

    Args:
        options: The folder.
    """

    def __init__(self, options: FolderOptions) -> None:
        self._options = options
        self._place = place_of(options.path)
        #: Held for a moment by those who append, and by who takes the journal away to make files of it.
        self._state = threading.Condition()
        try:
            self._open: Kept | None = self._place.adopt(options.ending)
        except Exception as e:  # each file system has errors of its own
            raise self._failure(e) from e
        self._due = time.monotonic() + options.every
        self._closing = False
        self._error: Exception | None = None
        #: Whether a bundle was told that nothing becomes files any more.
        self.given_up = False
        self._thread = threading.Thread(target=self._work, name="newsbeam-files", daemon=True)
        self._thread.start()

    def append(self, data: bytes) -> None:
        """Makes a bundle's frame durable.

        Raises:
            PipelineFailure: It can't be, or what was there before can't become files.
        """
        with self._state:
            self.given_up = self._error is not None
            self._raise()
            try:
                if self._open is None:
                    self._open = self._place.begin(self._options.ending)
                    self._due = time.monotonic() + self._options.every
                self._open.append(data)
            except Exception as e:  # each file system has errors of its own
                raise self._failure(e) from e
            # Its thread waits for as long as it knew then.
            self._state.notify()

    def close(self) -> None:
        """Makes files of what there is.

        Raises:
            PipelineFailure: It can't be done; the journal is kept.
        """
        with self._state:
            self._closing = True
            self._state.notify()
        self._thread.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._failure(self._error) from self._error

    def _failure(self, error: Exception) -> PipelineFailure:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror + (f" ({error.filename})" if error.filename else "")
        return PipelineFailure(f"{self._options.name} can't be written any further: {reason}")

    def _work(self) -> None:
        """Makes files when it is time to, until the folder is closed."""
        looked = -TEND
        try:
            while True:
                with self._state:
                    if not self._is_time():
                        self._state.wait(self._patience(looked))
                    closing = self._closing
                    kept = self._take() if self._is_time() else None
                if kept is not None:
                    make_files(self._place, kept)
                if closing:
                    self._complete_others(last=True)
                    self._place.leave()
                    return
                if time.monotonic() - looked >= TEND:
                    looked = time.monotonic()
                    self._place.tend()
                    self._complete_others()
        except Exception as e:
            # Bundles are told, too; but there may be none for long.
            log.error("%s", self._failure(e), exc_info=log.isEnabledFor(logging.DEBUG))
            with self._state:
                self._error = e
                if self._open is not None:
                    self._open.let_go()
                    self._open = None

    def _patience(self, looked: float) -> float:
        now = time.monotonic()
        until = looked + TEND if self._open is None else min(self._due, looked + TEND)
        return max(0.0, until - now)

    def _is_time(self) -> bool:
        if self._closing:
            return True
        if self._open is None:
            return False
        journal, largest = self._open.journal, self._options.max_size
        return (
            time.monotonic() >= self._due
            or journal.largest >= largest
            or journal.size >= IN_ALL * largest
        )

    def _take(self) -> Kept | None:
        kept, self._open = self._open, None
        return kept

    def _complete_others(self, *, last: bool = False) -> None:
        for kept in self._place.left_behind(last=last):
            log.info("%s: completing what a run before has left", self._options.name)
            make_files(self._place, kept)


def make_files(place: Place, kept: Kept) -> None:
    """Makes files of a journal, and removes it: after a kill in the middle, the same ones again."""
    try:
        kept.seal()
        for group in kept.journal.groups:
            _make_file(place, kept, group)
        kept.remove()
    except BaseException:
        kept.let_go()
        raise


def _make_file(place: Place, kept: Kept, group: Group) -> None:
    journal = kept.journal
    name = f"{group.kind}-{kept.name}.{journal.ending}"
    place.put(
        f"{group.folder}/{name}" if group.folder else name,
        lambda file: write_file(
            file, journal.ending, group.kind, journal.lines(group), group.named_by
        ),
    )


_folders: PerProcess[FolderOptions, Folder] = PerProcess()


def folder_of(options: FolderOptions) -> Folder:
    """The folder, as this process writes to it."""
    folder = _folders.get(options, lambda: Folder(options))
    if folder.given_up:
        # A runner that tries again, in this process, may do so for what is mended by now.
        _folders.drop(options, folder)
        folder = _folders.get(options, lambda: Folder(options))
    return folder


def close_folders() -> None:
    """Completes the files of all folders of this process: their next use begins anew.

    Raises:
        PipelineFailure: One can't be completed.
    """
    failed: PipelineFailure | None = None
    for folder in _folders.clear():
        try:
            folder.close()
        except PipelineFailure as e:
            failed = failed or e
    if failed is not None:
        raise failed


class FolderSink(Sink):
    """A folder of files, each of which appears when it is whole.

    Args:
        options: The folder, and when files are complete.
    """

    def __init__(self, options: FolderOptions) -> None:
        self._options = options

    def writer(self) -> Writer:
        return _FolderWriter(self._options)


class _FolderWriter(Writer):
    def __init__(self, options: FolderOptions) -> None:
        self._options = options
        self.forget()
        # What a killed run has left there becomes files, even if nothing more comes for this folder.
        folder_of(options)

    def add(self, outcome: Outcome) -> None:
        line = to_line(outcome)
        self._outcomes.append((outcome, line))
        self._size += len(line)

    def flush(self) -> Iterable[DeadLetter]:
        outcomes = self._outcomes
        self.forget()
        if outcomes:
            folder_of(self._options).append(frame(outcomes, self._options.partition_by))
        return ()

    @property
    def full(self) -> bool:
        return self._size >= FULL

    def forget(self) -> None:
        self._outcomes: list[tuple[Outcome, bytes]] = []
        self._size = 0
