"""Pub/Sub to Pub/Sub against a bare loop, with flow control, on Google's fake; and its latency.

A bare loop pulls by a stream, tokenizes each text, runs it through ONNX Runtime on as many threads as
cores, publishes and acknowledges: no Beam, no records, no promise. Both run in turn over the same rows
and hold the same number of messages at most. News are published a little ahead of what is read: the fake
takes long over a long backlog. Also checks the outputs: none lost, doubles counted.
"""

from __future__ import annotations

import argparse
import contextlib
import queue
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from google.pubsub_v1 import PublishRequest, PubsubMessage, StreamingPullRequest, Subscription

from benchmarks import news, pubsub_runs
from benchmarks.usage import stop
from pipeline.demo.pubsub import EmbeddedPubSub
from transforms.pubsub.client import PubSubSettings, close_channels

#: Messages published ahead of what came out.
AHEAD = 6000
#: Messages before the ones that count: until the model is loaded and all clients are connected.
WARM_UP = 200
#: The share of the rows after which memory is first looked at.
SETTLED = 0.2


class Results:
    """Reads the outputs of a run, by a stream of its own."""

    def __init__(self, settings: PubSubSettings) -> None:
        self.seen: dict[str, float] = {}
        self.doubled = 0
        self.changed = threading.Condition()
        self._settings = settings
        self._acks: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        requests.put(
            StreamingPullRequest(subscription=pubsub_runs.RESULTS, stream_ack_deadline_seconds=600)
        )
        self._stream = settings.subscriber().streaming_pull(requests=iter(requests.get, None))
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._acknowledge, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(Exception):  # it is cancelled
            for response in self._stream:
                now = time.perf_counter()
                with self.changed:
                    for received in response.received_messages:
                        row = received.message.attributes["id"]
                        self.doubled += row in self.seen
                        self.seen.setdefault(row, now)
                    self.changed.notify_all()
                self._acks.put([r.ack_id for r in response.received_messages])

    def _acknowledge(self) -> None:
        while (ids := self._acks.get()) is not None:
            self._settings.subscriber().acknowledge(subscription=pubsub_runs.RESULTS, ack_ids=ids)

    def wait_for(self, count: int, run: subprocess.Popen[bytes]) -> None:
        """Waits until so many rows have come out."""
        while True:
            with self.changed:
                if self.changed.wait_for(lambda: len(self.seen) >= count, 1.0):
                    return
            if run.poll() is not None:
                sys.exit(f"it ended with {run.returncode} after {len(self.seen)} rows")

    def close(self) -> None:
        """Ends it."""
        self._stream.cancel()
        self._acks.put(None)


@contextlib.contextmanager
def running(kind: str, args: Sequence[str]) -> Iterator[tuple[PubSubSettings, Results, Any]]:
    """A fake with topics, what comes out, and the process that works on it."""
    with EmbeddedPubSub() as fake:
        settings = PubSubSettings(emulator=fake.address)
        for topic, subscription in (
            (pubsub_runs.NEWS, pubsub_runs.SUBSCRIPTION),
            (pubsub_runs.OUT, pubsub_runs.RESULTS),
            (pubsub_runs.DEAD, None),
        ):
            settings.publisher().create_topic(name=topic)
            if subscription is not None:
                settings.subscriber().create_subscription(
                    Subscription(name=subscription, topic=topic, ack_deadline_seconds=600)
                )
        command = [sys.executable, "-m", "benchmarks.pubsub_runs", kind, fake.address, *args]
        results = Results(settings)
        run = subprocess.Popen(command)
        try:
            yield settings, results, run
        finally:
            results.close()
            stop(run)
            close_channels()


def publish(settings: PubSubSettings, rows: Sequence[news.Row]) -> None:
    """Publishes rows."""
    for begin in range(0, len(rows), 500):
        messages = [PubsubMessage(data=row.message()) for row in rows[begin : begin + 500]]
        settings.publisher().publish(topic=pubsub_runs.NEWS, messages=messages)


class Measured(NamedTuple):
    """What a run gave.

    Attributes:
        rate: Rows per second, from the first that counts to the last.
        doubled: Rows that came out twice.
        memory: Resident memory when it had settled, at the end, and at most, in bytes.
    """

    rate: float
    doubled: int
    memory: tuple[int, int, int]


def throughput(
    kind: str, rows: Sequence[news.Row], outstanding: int, args: Sequence[str]
) -> Measured:
    """Runs rows through; every row has to come out."""
    with running(kind, [str(outstanding), *args]) as (settings, results, run):
        process = psutil.Process(run.pid)
        publish(settings, rows[:WARM_UP])
        results.wait_for(WARM_UP, run)
        started = time.perf_counter()
        memory: list[int] = []
        settled: list[int] = []
        for end in range(WARM_UP, len(rows), 1000):
            results.wait_for(end - AHEAD, run)
            publish(settings, rows[end : end + 1000])
            memory.append(process.memory_info().rss)
            if len(results.seen) > SETTLED * len(rows):
                settled.append(memory[-1])
        results.wait_for(len(rows), run)
        memory.append(process.memory_info().rss)
        last = max(results.seen.values())
        lost = {row.id for row in rows} - results.seen.keys()
        if lost:
            sys.exit(f"{len(lost)} rows lost")
        first = settled[0] if settled else memory[0]
        return Measured(
            (len(rows) - WARM_UP) / (last - started),
            results.doubled,
            (first, memory[-1], max(memory)),
        )


def latency(rows: Sequence[news.Row], rate: float, args: Sequence[str]) -> list[float]:
    """Publishes rows at a rate; the seconds from each one's publishing until its output was read."""
    with running("newsbeam", ["5000", *args]) as (settings, results, run):
        publish(settings, rows[:WARM_UP])
        results.wait_for(WARM_UP, run)
        sent: dict[str, float] = {}
        call: Callable[..., Any] = settings.publisher().transport.publish.future
        calls = []
        started = time.perf_counter()
        for i, row in enumerate(rows[WARM_UP:]):
            time.sleep(max(0.0, started + i / rate - time.perf_counter()))
            sent[row.id] = time.perf_counter()
            message = PubsubMessage(data=row.message())
            # One that nobody keeps is cancelled.
            calls.append(call(PublishRequest(topic=pubsub_runs.NEWS, messages=[message])))
        for one in calls:
            one.result()
        results.wait_for(len(rows), run)
        return [results.seen[i] - at for i, at in sent.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument("--rows", type=int, default=50_000, help="rows to run (default: 50,000)")
    parser.add_argument("--rounds", type=int, default=1, help="pairs of runs (default: 1)")
    parser.add_argument(
        "--outstanding", type=int, default=1000, help="messages held at most (default: 1,000)"
    )
    parser.add_argument("--rate", type=float, default=100, help="for latency (default: 100/s)")
    parser.add_argument("--messages", type=int, default=3000, help="for latency (default: 3,000)")
    parser.add_argument("--only", choices=["throughput", "latency"])
    options, args = parser.parse_known_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if options.only != "latency":
        rows = news.rows(options.csv, options.rows)
        ratios = []
        for n in range(options.rounds):
            bare = throughput("bare", rows, options.outstanding, [])
            ours = throughput("newsbeam", rows, options.outstanding, args)
            ratios.append(ours.rate / bare.rate)
            settled, end, most = (size / 2**20 for size in ours.memory)
            print(
                f"round {n + 1}: bare loop {bare.rate:.1f} rows/s, newsbeam {ours.rate:.1f} rows/s: "
                f"ratio {ratios[-1]:.3f}; {len(rows)} rows, none lost, {ours.doubled} doubled; "
                f"memory {settled:.0f} MiB after {SETTLED:.0%}, {end:.0f} MiB at the end, {most:.0f} at "
                "most",
                flush=True,
            )
        print(f"ratio: median {statistics.median(ratios):.3f}, least {min(ratios):.3f}")
    if options.only != "throughput":
        seconds = latency(news.rows(options.csv, options.messages + WARM_UP), options.rate, args)
        p50, p99 = (news.percentile(seconds, share) * 1000 for share in (0.50, 0.99))
        print(
            f"{len(seconds)} messages at {options.rate:g}/s, published to output: p50 {p50:.0f} ms, "
            f"p99 {p99:.0f} ms, max {max(seconds) * 1000:.0f} ms"
        )


if __name__ == "__main__":
    main()
