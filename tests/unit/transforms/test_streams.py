"""The standard streams as they come: reading and writing what may not block."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from transforms import streams
from transforms.errors import ConfigurationError
from transforms.streams import (
    PatientWriter,
    check_output,
    check_stdin,
    read_chunks,
    read_lines,
)


@pytest.fixture
def pipe() -> Iterator[tuple[io.FileIO, io.FileIO]]:
    """Both ends of a pipe."""
    read, write = os.pipe()
    with io.FileIO(read, "rb") as reader, io.FileIO(write, "wb") as writer:
        yield reader, writer


def test_a_pipe_that_does_not_block_is_waited_for(pipe: tuple[io.FileIO, io.FileIO]) -> None:
    reader, writer = pipe
    os.set_blocking(reader.fileno(), False)
    chunks = read_chunks(reader)
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.extend(chunks))
    thread.start()  # reads before there is anything
    writer.write(b"a\nb")
    writer.write(b"\nc")
    writer.close()
    thread.join()
    assert b"".join(found) == b"a\nb\nc"
    assert not os.get_blocking(reader.fileno())  # it is others' as well


def test_chunks_come_as_soon_as_they_are_there(pipe: tuple[io.FileIO, io.FileIO]) -> None:
    reader, writer = pipe
    chunks = read_chunks(reader)
    writer.write(b"one")
    assert next(chunks) == b"one"
    writer.write(b"two")
    assert next(chunks) == b"two"
    writer.close()
    assert list(chunks) == []


def test_chunks_of_what_is_no_file() -> None:
    assert b"".join(read_chunks(io.BytesIO(b"x" * 100_000))) == b"x" * 100_000


def test_lines() -> None:
    chunks = [b"a", b"b\r\n\nc", b"d", b"\ne\rf\n", b"g"]
    assert list(read_lines(chunks)) == [[b"ab\r\n", b"\n"], [b"cd\n", b"e\rf\n"], [b"g"]]
    assert list(read_lines([])) == []
    assert list(read_lines([b"x\n"])) == [[b"x\n"]]


def test_a_pipe_that_takes_no_more_is_waited_for(pipe: tuple[io.FileIO, io.FileIO]) -> None:
    reader, writer = pipe
    os.set_blocking(writer.fileno(), False)
    sent = os.urandom(1 << 20)  # many times what a pipe holds
    out = io.BufferedWriter(PatientWriter(writer.fileno(), "out"))

    def write() -> None:
        out.write(sent)
        out.flush()
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    assert b"".join(read_chunks(reader)) == sent
    thread.join()


def test_streams_that_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CLOSED", {"stdin", "stderr"})
    with pytest.raises(ConfigurationError, match="stdin is closed"):
        check_stdin()
    with pytest.raises(ConfigurationError, match="stderr is closed"):
        check_output("stderr")
    check_output("stdout")


@pytest.mark.parametrize(
    ("path", "mode", "words"),
    [("", os.O_RDONLY, "is a folder"), ("f", os.O_WRONLY, "writing only")],
)
def test_a_stdin_that_can_not_be_read(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch, path: str, mode: int, words: str
) -> None:
    number = os.open(os.path.join(tmp_path, path), mode | (os.O_CREAT if path else 0))
    try:
        stdin = SimpleNamespace(buffer=SimpleNamespace(fileno=lambda: number))
        monkeypatch.setattr(sys, "stdin", stdin)
        with pytest.raises(ConfigurationError, match=words):
            check_stdin()
    finally:
        os.close(number)
