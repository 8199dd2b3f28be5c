"""The standard streams as they come: closed, non-blocking, a folder, a terminal."""

from __future__ import annotations

import fcntl
import io
import os
import select
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from transforms.errors import ConfigurationError

#: Bytes read at a time, at most; what is there is not waited for.
READ_SIZE = 1 << 16
#: Streams that were closed when the program began, by name: `stdin`, `stdout`, `stderr`.
CLOSED: set[str] = set()


def check_stdin() -> None:
    """Says what is wrong with stdin before it is read.

    Raises:
        ConfigurationError: It is closed, a folder, or open for writing only.
    """
    if sys.stdin is None or "stdin" in CLOSED:
        raise ConfigurationError("stdin is closed: give it a file or a pipe to read")
    try:
        number = sys.stdin.buffer.fileno()
    except (AttributeError, ValueError, OSError):  # not a file: nothing to look at
        return
    try:
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise ConfigurationError("stdin is a folder: give it a file or a pipe to read")
        if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
            raise ConfigurationError("stdin is open for writing only: give it a file to read")
    except OSError as e:
        raise ConfigurationError(f"stdin can't be read ({e.strerror}): give it a file") from None


def check_output(name: str) -> None:
    """Says that there is nothing to write to, before something is lost.

    Args:
        name: `stdout` or `stderr`.

    Raises:
        ConfigurationError: It is closed.
    """
    if getattr(sys, name) is None or name in CLOSED:
        raise ConfigurationError(f"{name} is closed: send it to a file, a pipe or /dev/null")


def regular_file(name: str) -> os.stat_result | None:
    """The file that a standard stream was sent to or comes from; None where it is none.

    Args:
        name: `stdin`, `stdout` or `stderr`.
    """
    stream = getattr(sys, name)
    if stream is None or name in CLOSED:
        return None
    try:
        found = os.fstat(stream.buffer.fileno())
    except (AttributeError, ValueError, OSError):
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def read_chunks(stream: Any) -> Iterator[bytes]:
    """What comes from a binary stream, as soon as something does, to its end.

    Whether it blocks is left as it is: others may use the same pipe or terminal.

    Args:
        stream: The stream; nothing of it may have been read yet.

    Raises:
        OSError: It can't be read.
    """
    try:
        number = stream.fileno()
    except (AttributeError, io.UnsupportedOperation):
        yield from iter(lambda: stream.read1(READ_SIZE), b"")
        return
    while True:
        try:
            data = os.read(number, READ_SIZE)
        except BlockingIOError:
            _wait(number, select.POLLIN)
            continue
        if not data:
            return
        yield data


def read_lines(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Lists of whole lines, with their ends; the last line may have none.

    A list is what one chunk gave: a line that is there never waits for the next.
    """
    rest = bytearray()
    for data in chunks:
        begin = len(rest)
        rest += data
        end = rest.rfind(b"\n", begin)
        if end < 0:
            continue
        lines = bytes(rest[:end]).split(b"\n")
        del rest[: end + 1]
        yield [line + b"\n" for line in lines]
    if rest:
        yield [bytes(rest)]


class PatientWriter(io.RawIOBase):
    """Writes to a file, and waits where a non-blocking one takes no more.

    Python's own streams raise an error then, and nobody knows how much was written.

    Args:
        number: The file's number; it stays open when this is closed.
        name: What it is called.
    """

    def __init__(self, number: int, name: str) -> None:
        self._number = number
        self.name = name

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        while True:
            try:
                return os.write(self._number, data)
            except BlockingIOError:
                _wait(self._number, select.POLLOUT)


def _wait(number: int, event: int) -> None:
    poll = select.poll()
    poll.register(number, event)
    poll.poll()


def prepare_streams() -> None:
    """Makes the standard streams of a program fit to use, whatever it was started with.

    A closed one gets /dev/null in its place, since the next file that is opened would otherwise take
    its number, and what is printed would go there; `CLOSED` knows. stdout and stderr become patient.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        CLOSED.add(name)
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(null, True)
        if name != "stdin":
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if name not in CLOSED and isinstance(getattr(stream, "buffer", None), io.BufferedWriter):
            stream.flush()
            raw = PatientWriter(stream.fileno(), stream.name)
            patient = io.TextIOWrapper(
                io.BufferedWriter(raw),
                encoding=stream.encoding,
                errors=stream.errors,
                line_buffering=stream.line_buffering,
            )
            setattr(sys, name, patient)
