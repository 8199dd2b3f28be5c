"""Files that dead letters are taken from: how far each was is kept in a file of the user's state.

It holds the last line that was taken, and a hash of what stood there: a file that has grown since goes
on after it, one that was made anew begins anew.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
from collections.abc import Generator, Sequence

import msgspec

from pipeline.ends.files.peek import files_of, read_file
from pipeline.ends.letters import Delivery, Letters, Publisher, Resent, Taking
from transforms.errors import ConfigurationError
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
        self._how = how
        self._paths = files_of(pattern)
        self.memory = os.path.dirname(_state_of(""))

    def into(self, to: Publisher, *, transactions: bool = True) -> Delivery:
        try:
            os.makedirs(self.memory, exist_ok=True)
        except OSError as e:
            raise _not_kept(self.memory, e) from None
        if not os.access(self.memory, os.W_OK):
            raise _not_kept(self.memory, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        return super().into(to)

    def batches(self) -> Generator[Sequence[Message]]:
        if self._how.from_start and not self._how.look_only:
            for path in self._paths:
                _forget(path)
        for path in self._paths:
            start = 0 if self._how.from_start else _line_taken(path)
            for batch in read_file(path, whole=True):
                yield [message for message in batch if _source(message).line > start]

    def taken(self, seen: Sequence[Message], sent: Sequence[Resent]) -> None:
        for path, message in {_source(message).file: message for message in seen}.items():
            _save(path, Taken(_source(message).line, _digest(message)))


def _line_taken(path: str) -> int:
    """The last line of a file that was taken; 0 where none was."""
    taken = _saved(path)
    if taken is None:
        return 0
    for batch in read_file(path):
        for message in batch:
            if _source(message).line == taken.line and _digest(message) == taken.digest:
                return taken.line
    log.warning("%s is another file than the one replayed last: it is read anew", path)
    return 0


def _saved(path: str) -> Taken | None:
    state = _state_of(path)
    try:
        with open(state, "rb") as f:
            return msgspec.json.decode(f.read(), type=Taken)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.MsgspecError) as e:
        # Beginning anew would replay all of it once more.
        raise PipelineFailure(
            f"{state}, which says how far {path} was replayed, can't be read: {e}; mend it, or give "
            "--from_start"
        ) from None


def _save(path: str, taken: Taken) -> None:
    state = _state_of(path)
    try:
        with open(state + ".new", "wb") as f:
            f.write(msgspec.json.encode(taken))
            f.flush()
            os.fsync(f.fileno())
        os.replace(state + ".new", state)
    except OSError as e:
        raise PipelineFailure(str(_not_kept(state, e))) from None


def _not_kept(where: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"can't keep in {where} how far files were replayed: {error.strerror or error}; set "
        "XDG_STATE_HOME to a folder that can be written to"
    )


def _forget(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_state_of(path))


def _state_of(path: str) -> str:
    """What remembers how far a file was taken."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    name = hashlib.sha256(_key(path).encode()).hexdigest()[:32]
    return os.path.join(state, "newsbeam", f"replay-{name}.json")


def _key(path: str) -> str:
    """A file's name, however it was given."""
    return os.path.realpath(path) if is_local(path) else path


def _digest(message: Message) -> str:
    return hashlib.sha256(message.value or b"").hexdigest()


def _source(message: Message) -> FilePosition:
    assert isinstance(message.source, FilePosition)
    return message.source
