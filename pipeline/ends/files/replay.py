"""Files that dead letters are taken from: how far each was is kept in a file of the user's state.

Beside each file's name stands how many of its lines were taken, and a hash of the last one: a file that
has grown since goes on after it, one that was made anew begins anew.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence

import msgspec

from pipeline.ends.files.peek import files_of, read_file
from pipeline.ends.letters import Letters, Taking
from transforms.failures import PipelineFailure
from transforms.files.paths import is_local
from transforms.records import FilePosition, Message

log = logging.getLogger("newsbeam")


class Taken(msgspec.Struct, frozen=True):
    """How far a file was taken.

    Attributes:
        line: The last line, counted from 1.
        digest: What stood there, hashed.
    """

    line: int
    digest: str


class FileLetters(Letters):
    """Takes dead letters from files of one a line.

    Args:
        pattern: A path, a folder or a glob pattern.
        how: How they are taken.

    Raises:
        ConfigurationError: There is no such file.
    """

    def __init__(self, pattern: str, how: Taking) -> None:
        self._pattern, self._how = pattern, how
        self._paths = files_of(pattern)
        self._path = _state_of(pattern)
        self._taken: dict[str, Taken] = {} if how.from_start else self._saved()
        self.memory = self._path

    def _saved(self) -> dict[str, Taken]:
        try:
            with open(self._path, "rb") as f:
                return msgspec.json.decode(f.read(), type=dict[str, Taken])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as e:
            # Beginning anew would replay all of it once more.
            raise PipelineFailure(
                f"{self._path}, which says how far {self._pattern} was replayed, can't be read: {e}; "
                "mend it, or remove it to begin anew"
            ) from None

    def batches(self) -> Iterator[Sequence[Message]]:
        if self._how.from_start and not self._how.look_only:
            self._save()
        for path in self._paths:
            start = self._start_of(path)
            for batch in read_file(path):
                yield [message for message in batch if _source(message).line > start]

    def _start_of(self, path: str) -> int:
        """The line after which to go on in a file."""
        taken = self._taken.get(_key(path))
        if taken is None:
            return 0
        for batch in read_file(path):
            for message in batch:
                if _source(message).line == taken.line and _digest(message) == taken.digest:
                    return taken.line
        log.warning("%s is another file than the one replayed last: it is read anew", path)
        return 0

    def taken(self, seen: Sequence[Message]) -> None:
        last = {_source(message).file: message for message in seen}
        for path, message in last.items():
            self._taken[_key(path)] = Taken(_source(message).line, _digest(message))
        self._save()

    def _save(self) -> None:
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            new = self._path + ".new"
            with open(new, "wb") as f:
                f.write(msgspec.json.encode(self._taken))
                f.flush()
                os.fsync(f.fileno())
            os.replace(new, self._path)
        except OSError as e:
            raise PipelineFailure(
                f"can't keep in {self._path} how far {self._pattern} was replayed: {e.strerror or e}; "
                "set XDG_STATE_HOME to a folder that can be written to"
            ) from None


def _state_of(pattern: str) -> str:
    """The file that remembers how far files were taken."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    name = hashlib.sha256(_key(pattern).encode()).hexdigest()[:32]
    return os.path.join(state, "newsbeam", f"replay-{name}.json")


def _key(path: str) -> str:
    """A file's name, however it was given."""
    return os.path.realpath(path) if is_local(path) else path


def _digest(message: Message) -> str:
    return hashlib.sha256(message.value or b"").hexdigest()


def _source(message: Message) -> FilePosition:
    assert isinstance(message.source, FilePosition)
    return message.source
