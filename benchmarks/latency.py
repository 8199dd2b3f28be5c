"""From produce to output under a light load: how long a reader of the output topic waits.

What is left of the command line goes to `newsbeam run`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from benchmarks import news
from benchmarks.brokers import broker
from benchmarks.usage import stop
from transforms.records import categorized_from_json

PARTITIONS = 4
#: Messages before the ones that count: until the model is loaded and all clients are connected.
WARM_UP = 20


def reader(servers: str, topic: str) -> KafkaConsumer:
    """A reader of committed records, at the start of the topic."""
    consumer = KafkaConsumer(
        bootstrap_servers=servers,
        isolation_level="read_committed",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    return consumer


def measure(servers: str, rows: list[news.Row], rate: float) -> list[float]:
    """Produces rows at a rate; the seconds from each one's send until its output was read."""
    producer = KafkaProducer(bootstrap_servers=servers, linger_ms=0)
    consumer = reader(servers, "out")
    sent: dict[str, float] = {}
    waited: dict[str, float] = {}

    def read(until: float) -> None:
        while (left := until - time.perf_counter()) > 0 and len(waited) < len(rows):
            for records in consumer.poll(timeout_ms=max(1, int(left * 1000))).values():
                now = time.perf_counter()
                for record in records:
                    item = categorized_from_json(record.value)
                    waited[item.id] = now - sent[item.id]

    for row in rows[:WARM_UP]:
        sent[row.id] = time.perf_counter()
        producer.send("news", row.message(), key=row.id.encode())
    while len(waited) < WARM_UP:
        read(time.perf_counter() + 1)
    started = time.perf_counter()
    for i, row in enumerate(rows[WARM_UP:]):
        read(started + i / rate)
        sent[row.id] = time.perf_counter()
        producer.send("news", row.message(), key=row.id.encode())
    while len(waited) < len(rows):
        read(time.perf_counter() + 1)
    producer.close()
    consumer.close()
    return [waited[row.id] for row in rows[WARM_UP:]]


def waits(
    rows: list[news.Row],
    rate: float,
    flags: Sequence[str],
    kind: str = "kafka",
    after: Callable[[], None] = lambda: None,
) -> list[float]:
    """What `measure` gives for a run and a broker of their own.

    Args:
        rows: What is sent; the first few warm up.
        rate: Rows a second.
        flags: Of `newsbeam run`, beside its ends.
        kind: Of the broker.
        after: What is to be done after the run.
    """
    topics = {"news": PARTITIONS, "out": PARTITIONS, "out-dead-letters": 1}
    with broker(topics, kind) as servers:
        run = news.newsbeam_run(f"kafka://{servers}/news", f"kafka://{servers}/out", *flags)
        try:
            return measure(servers, rows, rate)
        finally:
            stop(run)
            after()


def show(
    csv: Path,
    options: argparse.Namespace,
    flags: Sequence[str],
    after: Callable[[], None] = lambda: None,
) -> None:
    """Prints a table: a line for each delivery and rate, each of a run and a broker of its own.

    Args:
        csv: Where the rows are.
        options: Those of `add_options`.
        flags: Of `newsbeam run`, beside its ends and its delivery.
        after: What is to be done after each run.
    """
    print("produce to output, in ms     rate  messages     p50     p99   p99.9     max", flush=True)
    for delivery in options.deliveries:
        for rate in options.rates:
            rows = news.rows(csv, int(rate * options.seconds) + WARM_UP)
            given = [f"--delivery={delivery}", *flags]
            seconds = waits(rows, rate, given, options.broker, after)
            shares = [news.percentile(seconds, share) for share in (0.5, 0.99, 0.999, 1)]
            found = "".join(f"{1000 * share:8.0f}" for share in shares)
            print(f"{delivery:<24} {rate:>6g}/s {len(seconds):>9}{found}", flush=True)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds what is measured."""
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[10, 100, 300], help="messages/s (10 100 300)"
    )
    parser.add_argument(
        "--deliveries", nargs="+", default=["exactly_once", "at_least_once"], help="default: both"
    )
    parser.add_argument("--seconds", type=float, default=60, help="for each of them (default: 60)")
    parser.add_argument("--broker", choices=["kafka", "embedded"], default="kafka")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("--runner", default="FnApiRunner", help="Beam runner; see benchmarks.flink")
    options, args = parser.parse_known_args()
    show(options.csv, options, [f"--runner={options.runner}", *args])


if __name__ == "__main__":
    main()
