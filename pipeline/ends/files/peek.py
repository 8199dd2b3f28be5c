"""Reads what newsbeam wrote into files, a record a line."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable
from typing import IO

import msgspec

from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.files.archives import OpenFile
from transforms.files.paths import find_and_tell
from transforms.records import FilePosition, Message

#: Lines of a file handed on at once.
_LINES = 500


def read_files(pattern: str) -> Generator[list[Message]]:
    """Reads files of one JSON record a line; archives are unpacked.

    Args:
        pattern: A path, a folder or a glob pattern.

    Raises:
        ConfigurationError: There is no such file, or it can't be read.
    """
    for path in files_of(pattern):
        yield from read_file(path)


def files_of(pattern: str) -> tuple[str, ...]:
    """The files of a pattern.

    Raises:
        ConfigurationError: There is none.
    """
    paths = find_and_tell(pattern)
    if not paths:
        raise ConfigurationError(f"no file matches {pattern!r}: give a path, or a pattern of one")
    return paths


def read_file(path: str, *, whole: bool = False) -> Generator[list[Message]]:
    """Reads one of them.

    Args:
        path: The file.
        whole: Leave out a last line that is cut off: whoever writes it may not be done.

    Raises:
        ConfigurationError: It can't be read.
    """
    try:
        with OpenFile(path) as file:
            lines = filter(_is_whole, file.lines()) if whole else file.lines()
            yield from lines_of(path, lines, _LINES)
    except PipelineFailure as e:
        raise ConfigurationError(str(e)) from None
    except OSError as e:
        if isinstance(e, BrokenPipeError):
            raise
        raise ConfigurationError(f"can't read {path!r}: {e}") from None


def _is_whole(line: bytes) -> bool:
    if line.endswith(b"\n"):
        return True
    try:
        msgspec.json.decode(line)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return False
    return True


def lines_of(
    name: str, file: Iterable[bytes] | IO[bytes], at_once: int
) -> Generator[list[Message]]:
    """Lines as messages, so many at once; empty ones are skipped."""
    messages = (
        Message(value=stripped, source=FilePosition(name, number))
        for number, line in enumerate(file, 1)
        if (stripped := line.rstrip(b"\r\n"))
    )
    while chunk := list(itertools.islice(messages, at_once)):
        yield chunk
