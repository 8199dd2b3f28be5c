"""Records counted in windows of an endless stream: what fires, and what should.

A record that comes behind the watermark is dropped without a word, so a count that stays too small is
how one sees it.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms.window import FixedWindows
from kafka import KafkaProducer

from pipeline.beam_workarounds import hush_worker
from pipeline.runners.kinds import runner_of
from tests.integration.harness import Topics
from tests.servers.processes import wait_until
from transforms.classify_news import ClassifyNews
from transforms.kafka.read import KafkaSource
from transforms.kafka.session import close_sessions
from transforms.kafka.settings import KafkaSettings
from transforms.reading import ReadUnbounded, Source, drain, undrain

# It stops its servers, and says so, when there is nothing left to say it to.
logging.getLogger("apache_beam.utils.subprocess_server").setLevel(logging.ERROR)

#: Windows that have fired, by the number of their pipeline: local workers run in this process.
_fired: dict[int, list[tuple[float, int]]] = {}
_numbers = itertools.count()
HOUR = 3600


class _Note(beam.DoFn):
    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def process(self, element: tuple[int, int], window: Any = beam.DoFn.WindowParam) -> None:
        _fired[self._number].append((float(window.start), element[1]))


class Counting:
    """A pipeline that counts records in windows.

    Args:
        source: What it reads.
        runner: Beam's arguments.
        size: Of the windows, in seconds.
        published: Classify the records first, and count them in windows by their publication.
    """

    def __init__(self, source: Source, runner: Sequence[str], size: float, published: bool) -> None:
        self._number = next(_numbers)
        _fired[self._number] = []
        self._options = PipelineOptions(["--streaming", *runner])
        self._pipeline = beam.Pipeline(options=self._options)
        read: Any = self._pipeline | ReadUnbounded(source)
        if published:
            read = (read | ClassifyNews(timestamp="published")).categorized
        _ = (
            read
            | beam.WindowInto(FixedWindows(size))
            | beam.Map(lambda record: (1, 1))
            | beam.CombinePerKey(sum)
            | beam.ParDo(_Note(self._number))
        )
        self._result: Any = None
        self._error: BaseException | None = None

    def _run(self) -> None:
        try:
            self._result = self._pipeline.run()
        except BaseException as e:
            self._error = e

    def fired(self) -> Counter[float]:
        """How many records have been counted in each window, by its start, so far."""
        counts: Counter[float] = Counter()
        for start, count in list(_fired[self._number]):
            counts[start] += count
        return counts

    def wait_for(self, expected: Mapping[float, int]) -> None:
        """Waits until these windows have fired, each with its count."""

        def met() -> bool:
            assert self._error is None, self._error
            assert self._result is None or self._result.state != PipelineState.FAILED
            fired = self.fired()
            return all(fired[start] == count for start, count in expected.items())

        try:
            wait_until(met, "windows to fire")
        except TimeoutError as e:
            e.add_note(f"expected {dict(sorted(expected.items()))}")
            e.add_note(f"fired {dict(sorted(self.fired().items()))}")
            raise

    def __enter__(self) -> Counting:
        hush_worker()
        self._server = runner_of(self._options).server(self._options)
        self._thread = threading.Thread(target=self._run)
        if isinstance(self._pipeline.runner, FnApiRunner):
            self._thread.start()  # it returns when the pipeline has ended
        else:
            self._run()
        return self

    def __exit__(self, *_: object) -> None:
        """Lets it come to its end: every window has fired then."""
        drain()
        if self._thread.ident:
            self._thread.join()
        elif self._result is not None:
            self._result.wait_until_finish()
        undrain()
        close_sessions()
        if self._server is not None:
            self._server.stop()
        if self._error is not None:
            raise self._error


def source(topics: Topics, **settings: Any) -> KafkaSource:
    """The test's topic, from its earliest record."""
    at = KafkaSettings.of(topics.servers, query={"fetch_max_wait_ms": "50"})
    return KafkaSource(at, [topics.news], topics.group, **{"start": "earliest", **settings})


def counting(
    source: Source, runner: Sequence[str], size: float = HOUR, published: bool = False
) -> contextlib.AbstractContextManager[Counting]:
    """A pipeline that counts records in windows, for a `with` block, at whose end it has finished."""
    return Counting(source, runner, size, published)


def in_windows(seconds: Sequence[float], size: float = HOUR) -> Counter[float]:
    """How many of these times fall into each window, by its start."""
    return Counter(float(s // size * size) for s in seconds)


def closed(windows: Mapping[float, int], size: float = HOUR) -> dict[float, int]:
    """Those windows that ended some time ago."""
    return {start: n for start, n in windows.items() if start + size < time.time() - 10}


def produce(
    topics: Topics, partition: int, seconds: Sequence[float], *, published: bool = False
) -> list[float]:
    """Produces a record to a partition for each time, in this order.

    Args:
        topics: To the first of these.
        partition: To this partition.
        seconds: The times of the records.
        published: The times are those of publication: the records are of now.

    Returns:
        The times.
    """
    producer = KafkaProducer(bootstrap_servers=topics.servers, acks="all", linger_ms=20)
    sent = []
    for i, at in enumerate(seconds):
        news = {"id": f"{partition}-{i}", "title": "Stocks fell"}
        if published:
            news["published"] = datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat()
        record_time = None if published else int(at * 1000)
        value = json.dumps(news).encode()
        sent.append(
            producer.send(topics.news, value, partition=partition, timestamp_ms=record_time)
        )
    producer.flush()
    producer.close()
    for future in sent:
        future.get()  # a broker refuses what is more than an hour ahead
    return list(seconds)


def ten_hours(count: int) -> list[float]:
    """So many times, spread over the last ten hours, in order."""
    now = time.time()
    return [now - 10 * HOUR + i * 10 * HOUR / count for i in range(count)]


# ---- what has to be so on every runner that fires windows ---------------------------------------------


def check_a_backlog(topics: Topics, runner: Sequence[str]) -> None:
    """Four partitions with ten hours of records, read from their beginning."""
    times = [t for p in range(4) for t in produce(topics, p, ten_hours(5_000))]
    with counting(source(topics), runner) as windows:
        windows.wait_for(closed(in_windows(times)))
    assert windows.fired() == in_windows(times)
    assert windows.fired().total() == 20_000


def check_partitions_of_all_kinds(topics: Topics, runner: Sequence[str], shards: int) -> None:
    """One runs backwards, one is ahead of the clock now and then, one is empty, one in good order."""
    backwards = produce(topics, 0, ten_hours(2_000)[::-1])
    now = time.time()
    ahead = [now + 3000 if i % 10 == 0 else t for i, t in enumerate(ten_hours(2_000))]
    produce(topics, 1, ahead)
    in_order = produce(topics, 3, ten_hours(3_000))
    expected = in_windows([*backwards, *ahead, *in_order])
    with counting(source(topics, shards=shards), runner) as windows:
        windows.wait_for(closed(expected))
    assert windows.fired() == expected
