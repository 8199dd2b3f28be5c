"""From produce to output under a light load: how long a reader of the output topic waits."""

from __future__ import annotations

import argparse
import signal
import time
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from benchmarks import news
from benchmarks.brokers import broker
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument("--rate", type=float, default=10, help="messages/s (default: 10)")
    parser.add_argument("--messages", type=int, default=600, help="to measure (default: 600)")
    parser.add_argument("--broker", choices=["kafka", "embedded"], default="kafka")
    options, args = parser.parse_known_args()
    rows = news.rows(options.csv, options.messages + WARM_UP)
    topics = {"news": PARTITIONS, "out": PARTITIONS, "out-dead-letters": 1}
    with broker(topics, options.broker) as servers:
        run = news.newsbeam_run(f"kafka://{servers}/news", f"kafka://{servers}/out", *args)
        try:
            seconds = measure(servers, rows, options.rate)
        finally:
            run.send_signal(signal.SIGTERM)
            run.wait()
    p50, p99 = (news.percentile(seconds, share) * 1000 for share in (0.50, 0.99))
    print(
        f"{len(seconds)} messages at {options.rate:g}/s, produce to output: "
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {max(seconds) * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()
