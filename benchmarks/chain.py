"""What the chain costs beside the model: CPU time a record, by step, from Kafka to Kafka.

Newsbeam runs in this process, on FnApiRunner, with a model whose logits cost nothing. Steps are
measured in CPU time of their own thread, what they call in other rows left out; what of the main
thread is in no step is Beam's, with its worker and runner. The rest are the clients' threads.
"""

from __future__ import annotations

import argparse
import cProfile
import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import news
from benchmarks.brokers import broker
from models.onnx import OnnxModel
from pipeline.logs import set_up
from pipeline.options import RunOptions
from pipeline.run import execute
from transforms.classify import Categorize
from transforms.kafka import transactions, write
from transforms.kafka.fetcher import Fetcher
from transforms.kafka.shard_reader import ShardReader
from transforms.parse import ParseNews
from transforms.tokenize import TokenizeNews

PARTITIONS = 4
#: Seconds between two looks at the threads: what one does after the last look is missed.
INTERVAL = 0.1
_IN_FETCHER = "of thread newsbeam-fetch: keep"
# Of a model that is sure: of a cascade the first one answers.
_LOGITS = np.array([9, 0, 0, 0], np.float32)


class Steps:
    """The CPU time of steps, each without that of the steps that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        #: The CPU time of thread and process when the first step began.
        self.began: tuple[float, float] | None = None
        self._inner = threading.local()

    def measure(self, owner: Any, name: str, step: str) -> None:
        """Measures a function of a class or module, wherever it is called from here on."""
        function: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            around = getattr(self._inner, "seconds", 0.0)
            self._inner.seconds = 0.0
            began = time.thread_time()
            self.began = self.began or (began, time.process_time())
            try:
                return function(*args, **kwargs)
            finally:
                took = time.thread_time() - began
                self.seconds[step] += took - self._inner.seconds
                self._inner.seconds = around + took

        setattr(owner, name, measured)


def measure_steps() -> Steps:
    """Measures the steps of the chain."""
    steps = Steps()
    for owner, name, step in (
        (ShardReader, "poll", "poll: records to messages"),
        (ShardReader, "resume", "resume"),
        (ParseNews, "apply", "ParseNews: JSON to item"),
        (TokenizeNews, "apply", "TokenizeNews"),
        (Categorize, "apply", "Categorize"),
        (write, "encode", "encode: item to JSON"),
        (transactions, "send_all", "produce: append, wait"),
        (write, "deliver", "produce: append, wait"),
        (transactions, "send_offsets", "commit: offsets"),
        (transactions, "commit", "commit: end"),
        (Fetcher, "_keep", _IN_FETCHER),
    ):
        steps.measure(owner, name, step)
    return steps


class Threads:
    """The CPU time of the threads of this process, by what they do; those that end are kept."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, int], float] = {}

    def look(self) -> None:
        """Looks how much each has used so far."""
        for thread in threading.enumerate():
            if thread.ident is None or thread is threading.current_thread():
                continue
            name = "producers" if "network-thread" in thread.name else thread.name
            try:
                seconds = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
            except OSError:
                continue  # It has ended since.
            self._seconds[name, thread.ident] = seconds

    def used(self) -> dict[str, float]:
        """The seconds, by name; threads without a name of their own are one."""
        found: dict[str, float] = defaultdict(float)
        for (name, _), seconds in self._seconds.items():
            found["others" if name.startswith("Thread-") else name.rstrip("0123456789._-")] += (
                seconds
            )
        return found


@contextmanager
def watched_threads() -> Iterator[Threads]:
    """Looks at the threads while a block runs."""
    threads, stop = Threads(), threading.Event()

    def watch() -> None:
        while not stop.wait(INTERVAL):
            threads.look()

    watcher = threading.Thread(target=watch, name="watch", daemon=True)
    watcher.start()
    try:
        yield threads
    finally:
        stop.set()
        watcher.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument("--rows", type=int, default=30_000, help="rows to run (default: 30000)")
    parser.add_argument("--delivery", default="exactly_once", help="default: exactly_once")
    parser.add_argument("--broker", choices=["kafka", "embedded"], default="kafka")
    parser.add_argument("--profile", help="a file for cProfile's view of the main thread, instead")
    options = parser.parse_args()
    OnnxModel.run = lambda self, rows: [_LOGITS] * len(rows)  # type: ignore[method-assign]
    rows = news.rows(options.csv, options.rows)
    topics = {"news": PARTITIONS, "out": PARTITIONS, "out-dead-letters": 1}
    with broker(topics, options.broker) as servers:
        news.produce(servers, "news", rows, PARTITIONS)
        set_up("warning", "text")
        chain = RunOptions(
            f"kafka://{servers}/news",
            f"kafka://{servers}/out",
            delivery=options.delivery,
            stop_at_end=True,
        )
        if options.profile:
            cProfile.runctx("execute(chain)", globals(), {"chain": chain}, options.profile)
            return
        steps = measure_steps()
        with watched_threads() as threads:
            execute(chain)
        assert steps.began is not None
        main_thread = time.thread_time() - steps.began[0]
        process = time.process_time() - steps.began[1]
    show(options.delivery, len(rows), steps.seconds, main_thread, process, threads.used())


def show(
    delivery: str,
    rows: int,
    steps: dict[str, float],
    main_thread: float,
    process: float,
    threads: dict[str, float],
) -> None:
    """Prints a table, in microseconds of CPU time a record."""
    del threads["MainThread"]
    in_steps = sum(seconds for step, seconds in steps.items() if step != _IN_FETCHER)
    lines = [
        *sorted(steps.items(), key=lambda item: -item[1]),
        ("Beam, and all else in the main thread", main_thread - in_steps),
        *((f"thread {name}", seconds) for name, seconds in threads.items()),
        ("all", process),
        ("all but TokenizeNews", process - steps["TokenizeNews"]),
    ]
    print(f"{delivery}, {rows} rows: CPU time in us a record")
    for what, seconds in lines:
        if (micros := seconds / rows * 1e6) >= 0.05:
            print(f"{micros:8.1f}  {what}")


if __name__ == "__main__":
    main()
