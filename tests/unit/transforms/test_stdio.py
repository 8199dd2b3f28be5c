"""stdin and stdout: the reader alone, and writing whole lines."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import apache_beam as beam
import pytest
import zstandard

from tests.unit.running import local_pipeline
from transforms import stdio, streams
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure, first_failure, forget_failures
from transforms.records import (
    FilePosition,
    Message,
    dead_letter,
    dead_letter_from_json,
)
from transforms.stdio import StdinReader, StdinSource, StdoutSink
from transforms.writing import LETTERS, WriteOutcomes


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BufferedWriter]:
    """The other end of a pipe that is stdin."""
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader, os.fdopen(write, "wb", buffering=0) as writer:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=reader))
        yield writer  # type: ignore[misc]


ReadStdin = Callable[[StdinSource], StdinReader]


@pytest.fixture
def read_stdin(stdin: io.BufferedWriter) -> Iterator[ReadStdin]:
    """Makes readers, whose threads end with the test: they would read another's pipe."""
    readers: list[StdinReader] = []

    def make(source: StdinSource) -> StdinReader:
        readers.append(StdinReader(source))
        return readers[-1]

    yield make
    stdin.close()
    for reader in readers:
        reader.thread.join()


def take(reader: StdinReader, count: int) -> list[Message]:
    """Polls until so many messages have come."""
    found: list[Message] = []
    while len(found) < count:
        found += reader.poll(60, count - len(found)).messages
    return found


def take_end(reader: StdinReader) -> None:
    while not reader.at_end():
        assert not reader.poll(60, 10).messages


def test_lines_come_as_they_are_written(stdin: io.BufferedWriter, read_stdin: ReadStdin) -> None:
    reader = read_stdin(StdinSource("json"))
    stdin.write(b'{"n": 1}\n\n{"n": 2}\n')
    assert take(reader, 2) == [
        Message(b'{"n": 1}', source=FilePosition("-", 1)),
        Message(b'{"n": 2}', source=FilePosition("-", 3)),
    ]
    assert not reader.at_end()
    assert not reader.poll(0, 10).messages
    stdin.write(b'{"n": 3}')
    stdin.close()
    assert [m.value for m in take(reader, 1)] == [b'{"n": 3}']
    take_end(reader)


def test_a_poll_takes_no_more_than_it_may(stdin: io.BufferedWriter, read_stdin: ReadStdin) -> None:
    reader = read_stdin(StdinSource("text"))
    stdin.write(b"".join(b"%d\n" % i for i in range(10)))
    stdin.close()
    batches = []
    while not reader.at_end():
        batches.append(reader.poll(60, 3))
    assert [m.value for b in batches for m in b.messages] == [b"%d" % i for i in range(10)]
    assert all(len(b.messages) <= 3 for b in batches)
    assert batches[-1].position == 10


def test_it_resumes_where_it_stands_and_nowhere_else(
    stdin: io.BufferedWriter, read_stdin: ReadStdin
) -> None:
    reader = read_stdin(StdinSource("text"))
    reader.resume(None)
    stdin.write(b"a\nb\n")
    take(reader, 2)
    reader.resume(2)
    with pytest.raises(ConfigurationError, match="can't be read again from 1"):
        reader.resume(1)


def test_csv_with_given_columns(stdin: io.BufferedWriter, read_stdin: ReadStdin) -> None:
    reader = read_stdin(StdinSource("csv", ("id", "title")))
    stdin.write(b'1,"A\nB"\n')
    stdin.close()
    [message] = take(reader, 1)
    assert (message.value, message.columns) == (b'1,"A\nB"', ("id", "title"))


def test_a_pipe_that_does_not_block(stdin: io.BufferedWriter, read_stdin: ReadStdin) -> None:
    os.set_blocking(sys.stdin.buffer.fileno(), False)
    reader = read_stdin(StdinSource("text"))
    assert not reader.poll(0, 10).messages
    assert not reader.at_end()
    stdin.write(b"a\nb\n")
    assert [m.value for m in take(reader, 2)] == [b"a", b"b"]
    stdin.write(b"c")
    stdin.close()
    assert [m.value for m in take(reader, 1)] == [b"c"]
    take_end(reader)


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("odd")])
def test_what_goes_wrong_in_its_thread_ends_the_run(
    error: Exception, read_stdin: ReadStdin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(stream: object) -> Iterator[bytes]:
        yield b"a\nb\n"
        raise error

    monkeypatch.setattr(stdio, "read_chunks", broken)
    forget_failures()
    reader = read_stdin(StdinSource("text"))
    assert [m.value for m in take(reader, 2)] == [b"a", b"b"]  # what came is processed
    reader.thread.join()
    assert not reader.poll(60, 10).messages  # its end
    assert not reader.at_end()
    with pytest.raises(PipelineFailure, match=r"stdin can't be read any further .*record 2"):
        reader.poll(60, 10)
    assert first_failure() is not None
    forget_failures()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (gzip.compress(b"a\n"), "stdin is compressed with gzip: .* `gzip -dc "),
        (bz2.compress(b"a\n"), "stdin is compressed with bzip2: "),
        (lzma.compress(b"a\n"), "stdin is compressed with xz: "),
        (zstandard.compress(b"a\n"), "stdin is compressed with zstd: "),
        (
            '{"title":"Müller scores"}\n'.encode("utf-16"),
            "stdin is UTF-16: convert it with `iconv ",
        ),
        (b"PK\x03\x04 and more", "stdin is a zip archive"),
    ],
    ids=["gzip", "bzip2", "xz", "zstd", "utf-16", "zip"],
)
def test_what_is_no_text_is_said(
    data: bytes, said: str, stdin: io.BufferedWriter, read_stdin: ReadStdin
) -> None:
    forget_failures()
    reader = read_stdin(StdinSource("json"))
    stdin.write(data)
    stdin.close()
    assert not reader.poll(60, 10).messages
    with pytest.raises(PipelineFailure, match=f"^{said}"):
        reader.poll(60, 10)
    assert re.match(said, str(first_failure()))
    forget_failures()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (BrokenPipeError(32, "Broken pipe"), "who reads stdout has ended"),
        (
            OSError(28, "No space left on device"),
            "stdout can't be written any further: No space left",
        ),
    ],
)
def test_what_nobody_takes_ends_the_run_with_a_line(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(io.BytesIO):
        def flush(self) -> None:
            raise error

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=Broken()))
    forget_failures()
    with pytest.raises(PipelineFailure, match=said):
        stdio._to_stdout([b"{}\n"])
    monkeypatch.undo()
    forget_failures()


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_a_closed_stream_is_told_before_anything_runs(
    stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "CLOSED", {stream})
    with pytest.raises(ConfigurationError, match=f"^{stream} is closed: "):
        StdinSource("json") if stream == "stdin" else StdoutSink(stderr=stream == "stderr")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_outcomes_are_printed_as_whole_lines(
    stream: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    letters = [dead_letter(Message(b"%d" % i), "ParseNews", ValueError("no")) for i in range(50)]
    capfdbinary.readouterr()
    with local_pipeline() as p:
        sink = StdoutSink(stderr=stream == "stderr")
        _ = p | beam.Create(letters) | WriteOutcomes(sink, LETTERS)
    printed = getattr(capfdbinary.readouterr(), {"stdout": "out", "stderr": "err"}[stream])
    # Beam itself may warn on stderr.
    lines = [line for line in printed.splitlines() if line.startswith(b"{")]
    assert sorted(dead_letter_from_json(line).message.value or b"" for line in lines) == sorted(
        b"%d" % i for i in range(50)
    )
