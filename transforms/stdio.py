"""News from stdin, results to stdout: for pipes and for trying things out, on local runners."""

from __future__ import annotations

import itertools
import os
import queue
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.files.archives import check_piped
from transforms.files.write import LinesSink
from transforms.reading import MAX_DELAY, Batch, Reader, Source
from transforms.records import Message
from transforms.rows import messages_of
from transforms.streams import check_output, check_stdin, read_chunks, read_lines

#: Messages read ahead of the pipeline.
READ_AHEAD = 5000


class StdinSource(Source):
    """The records on stdin, until it is closed.

    Args:
        format: `json`, `csv` or `text`.
        columns: The column names of CSV without a header line.
        delimiter: What stands between the fields of CSV; None goes by the first row.
        items: Where the list of items stands in a JSON document; None takes arrays at its top.

    Raises:
        ConfigurationError: stdin is closed, or can't be read.
    """

    def __init__(
        self,
        format: str,
        columns: Sequence[str] | None = None,
        delimiter: str | None = None,
        items: str | None = None,
    ) -> None:
        check_stdin()
        self.format = format
        self.columns = columns
        self.delimiter = delimiter
        self.items = items

    def shards(self) -> list[str]:
        return ["-"]

    def reader(self, shard: str) -> StdinReader:
        global _reader
        with _reader_lock:
            if _reader is None:
                _reader = StdinReader(self)
            return _reader


class StdinReader(Reader):
    """Reads stdin in a thread, so that a bundle can end while no line comes."""

    def __init__(self, source: StdinSource) -> None:
        self._source = source
        self._taken = 0
        self._closed = False
        self._error: Exception | None = None
        self._queue: queue.Queue[Message | None] = queue.Queue(READ_AHEAD)
        # A reader of our own: Python can't end while a thread waits in the one of sys.stdin. And a file
        # of our own: the number of one that is closed under a thread is soon another file's.
        self._file = os.fdopen(os.dup(sys.stdin.buffer.fileno()), "rb", buffering=0)
        self.thread = threading.Thread(target=self._read, name="newsbeam-stdin", daemon=True)
        self.thread.start()

    def _read(self) -> None:
        source = self._source
        try:
            with self._file as stdin:
                for message in messages_of(
                    itertools.chain.from_iterable(
                        read_lines(check_piped(read_chunks(stdin), "stdin"))
                    ),
                    "-",
                    source.format,
                    source.columns,
                    delimiter=source.delimiter,
                    items=source.items,
                ):
                    self._queue.put(message)
        except Exception as e:  # told by the thread that polls: this one has nobody to tell
            self._error = e
        self._queue.put(None)

    def resume(self, position: Any) -> None:
        if (position or 0) != self._taken:
            raise ConfigurationError(
                f"stdin stands at record {self._taken} and can't be read again from {position}: "
                "write it to a file and read that"
            )

    def poll(self, timeout: float, limit: int) -> Batch:
        messages: list[Message] = []
        if self._closed and isinstance(self._error, PipelineFailure):
            raise self._error
        if self._closed and isinstance(self._error, ConfigurationError):
            raise PipelineFailure(str(self._error)) from self._error
        if self._closed and self._error is not None:
            reason = " ".join(str(self._error).split()) or type(self._error).__name__
            raise PipelineFailure(
                f"stdin can't be read any further ({reason}): what came before is processed; begin "
                f"again after record {self._taken}"
            ) from self._error
        while len(messages) < limit and not self._closed:
            try:
                message = self._queue.get(timeout=0 if messages else timeout or 0.001)
            except queue.Empty:
                break
            if message is None:
                self._closed = True
            else:
                messages.append(message)
        self._taken += len(messages)
        return Batch(messages, self._taken, time.time() - MAX_DELAY)

    def at_end(self) -> bool:
        return self._closed and self._error is None


_reader: StdinReader | None = None
_reader_lock = threading.Lock()


def _to_stdout(lines: Sequence[bytes]) -> None:
    _print("stdout", lines)


def _to_stderr(lines: Sequence[bytes]) -> None:
    _print("stderr", lines)


def _print(name: str, lines: Sequence[bytes]) -> None:
    stream = getattr(sys, name).buffer
    try:
        stream.write(b"".join(lines))
        stream.flush()
    except BrokenPipeError:
        raise PipelineFailure(
            f"who reads {name} has ended, as `head` does: what comes after is not written"
        ) from None
    except OSError as e:
        raise PipelineFailure(f"{name} can't be written any further: {e.strerror or e}") from e


class StdoutSink(LinesSink):
    """stdout, for outcomes as JSON lines, bundle by bundle.

    Args:
        stderr: Write to stderr instead.

    Raises:
        ConfigurationError: It is closed.
    """

    def __init__(self, stderr: bool = False) -> None:
        check_output("stderr" if stderr else "stdout")
        super().__init__(_to_stderr if stderr else _to_stdout)
