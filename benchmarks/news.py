"""What the benchmarks read and write: AG News rows as messages, and the outcomes of a run."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from transforms.records import CategorizedItem, categorized_from_json

#: The official test file, beside the repository; it may not be copied into it.
TEST_CSV = Path(__file__).parents[2] / "shared" / "data" / "ag_news" / "test.csv"
LABELS = ("World", "Sports", "Business", "Sci/Tech")


@dataclass(frozen=True)
class Row:
    """A labelled article."""

    id: str
    label: str
    title: str
    description: str

    @property
    def text(self) -> str:
        """What is classified."""
        return f"{self.title} {self.description}"

    def message(self) -> bytes:
        """The article as a JSON message."""
        return msgspec.json.encode(
            {"id": self.id, "title": self.title, "description": self.description}
        )


def rows(path: Path = TEST_CSV, count: int | None = None) -> list[Row]:
    """Reads articles; more than there are begin again, with other ids."""
    if not path.exists():
        sys.exit(f"the AG News test file is not at {path}: give --csv FILE")
    with path.open(newline="", encoding="utf-8") as f:
        found = list(csv.reader(f))
    count = len(found) if count is None else count
    out = []
    for i in range(count):
        label, title, description = (c.replace("\\", " ") for c in found[i % len(found)])
        out.append(Row(f"row-{i:06}", LABELS[int(label) - 1], title, description))
    return out


def produce(servers: str, topic: str, news: Iterable[Row], partitions: int) -> None:
    """Sends articles to a topic, round-robin over its partitions."""
    producer = KafkaProducer(bootstrap_servers=servers, linger_ms=20, batch_size=256 * 1024)
    for i, row in enumerate(news):
        producer.send(topic, row.message(), key=row.id.encode(), partition=i % partitions)
    producer.flush()
    producer.close()


@dataclass(frozen=True)
class Output:
    """A categorized item, and when the broker had it, in seconds since the epoch."""

    item: CategorizedItem
    written: float


def outputs(servers: str, topic: str) -> list[Output]:
    """Reads all categorized items of a topic, as a reader of committed records sees them."""
    consumer = KafkaConsumer(
        bootstrap_servers=servers,
        isolation_level="read_committed",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    found: list[Output] = []
    idle = 0
    # Two empty polls, each as long as a broker holds an empty fetch back: the end.
    while idle < 2:
        fetched = consumer.poll(timeout_ms=1000, max_records=5000)
        idle = 0 if fetched else idle + 1
        found += [
            Output(categorized_from_json(r.value), r.timestamp / 1000)
            for records in fetched.values()
            for r in records
        ]
    consumer.close()
    return found


def newsbeam_run(source: str, sink: str, *args: str) -> subprocess.Popen[bytes]:
    """Starts `newsbeam run` as its users do."""
    command = [sys.executable, "-m", "pipeline", "run", "--source", source, "--sink", sink]
    return subprocess.Popen([*command, *args])


def percentile(values: Sequence[float], share: float) -> float:
    """The value that a share of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
