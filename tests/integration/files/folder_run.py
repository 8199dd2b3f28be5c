"""A pipeline of its own process, to be killed: numbers into a folder, committed when they are durable.

    python -m tests.integration.files.folder_run STATE COUNT PATH [name=value …]

STATE holds the next number after what was committed, as a Kafka group's offset would be.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from transforms.files import folder, objects
from transforms.files.folder import FolderSink, close_folders
from transforms.files.folder_options import FolderOptions
from transforms.reading import Batch, Reader, ReadUnbounded, Source
from transforms.records import CategorizedItem, KafkaPosition, Message
from transforms.writing import WriteOutcomes

CATEGORIES = ("World", "Sci/Tech", "Sports")
#: Records of a poll, and so of a bundle at most.
_POLL = 20
_BEGIN = datetime.datetime(2026, 11, 27, 9, 59, tzinfo=datetime.UTC)


class Numbers(Source):
    """The numbers below a count, from the committed one on."""

    def __init__(self, state: str, count: int) -> None:
        self.state = state
        self.count = count

    def shards(self) -> list[str]:
        return ["numbers"]

    def reader(self, shard: str) -> Reader:
        return _readers.setdefault(self.state, _NumbersReader(self))


class _NumbersReader(Reader):
    def __init__(self, source: Numbers) -> None:
        self._source = source
        self._next = committed(source.state)

    def resume(self, position: int | None) -> None:
        self._next = committed(self._source.state) if position is None else position

    def poll(self, timeout: float, limit: int) -> Batch:
        # At the pace of a stream, so that there are many bundles to be killed in.
        time.sleep(0.01)
        end = min(self._next + min(limit, _POLL), self._source.count)
        messages = [
            Message(b"%d" % n, timestamp=n, source=KafkaPosition("numbers", 0, n))
            for n in range(self._next, end)
        ]
        self._next = end
        return Batch(messages, end, time.time())

    def at_end(self) -> bool:
        return self._next >= self._source.count

    def commit(self, position: int | None) -> Callable[[], None]:
        return lambda: _commit(self._source.state, position or 0)


_readers: dict[str, Reader] = {}


def committed(state: str) -> int:
    """The next number after what was committed."""
    try:
        with open(state) as f:
            return int(f.read())
    except FileNotFoundError:
        return 0


def _commit(state: str, position: int) -> None:
    with open(state + ".new", "w") as f:
        f.write(str(position))
    os.replace(state + ".new", state)


def categorize(message: Message) -> CategorizedItem:
    """Says a category of a number."""
    number = int(message.value or b"")
    time_of_it = _BEGIN + datetime.timedelta(seconds=number)
    category = CATEGORIES[number % len(CATEGORIES)]
    return CategorizedItem(
        str(number), category, 0.5, {category: 0.5}, (category,), 3, False, "fake@1", time_of_it,
        time_of_it, message.source, {"number": number}, message,
    )  # fmt: skip


def main(state: str, count: str, path: str, *query: str) -> None:
    # Minutes in the world, seconds here.
    objects.GONE, objects.WAIT, folder.TEND = 3.0, 0.2, 0.5
    options = FolderOptions.of(path, path, dict(pair.split("=", 1) for pair in query))
    beam_options: Any = PipelineOptions(["--runner=FnApiRunner", "--streaming"])
    with beam.Pipeline(options=beam_options) as pipeline:
        _ = (
            pipeline
            | ReadUnbounded(Numbers(state, int(count)))
            | beam.Map(categorize).with_output_types(CategorizedItem)
            | WriteOutcomes(FolderSink(options))
        )
    close_folders()


if __name__ == "__main__":
    main(*sys.argv[1:])
