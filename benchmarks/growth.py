"""What a unit of work costs as its sizes grow: nothing may grow faster than its work.

For each size that a user may grow (length of texts, partitions, backlog, size of messages, labels,
size of files) a few values, and for each the CPU time of a unit of work, which other programs of the
machine hardly disturb, and the most memory. A cost that has grown by more than half since the first
value is marked.

Kafka runs go through `newsbeam run`; what start and end cost is taken from a run of few records.
"""

from __future__ import annotations

import argparse
import itertools
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from kafka import KafkaProducer

from benchmarks import news
from benchmarks.brokers import broker
from benchmarks.files import write_news
from benchmarks.usage import used
from models.classifier import TextClassifier
from tests.unit.models.conftest import WORDS, write_bundle

#: A cost that has grown by so much has grown faster than its work.
GROWN = 1.5
_OUT = {"out": 4, "out-dead-letters": 1}


class Point(NamedTuple):
    """What one value gave.

    Attributes:
        value: The value.
        unit: What a unit of work is.
        work: How many units were done.
        cpu: CPU time of all of them, in seconds.
        memory: The most resident memory, in bytes; None where this process did the work.
    """

    value: str
    unit: str
    work: float
    cpu: float
    memory: int | None = None


def _classified(classifier: TextClassifier, texts: Sequence[str]) -> float:
    """CPU seconds of classifying texts in this process."""
    classifier.predict(list(texts[:2]))
    began = time.process_time()
    classifier.predict(list(texts))
    return time.process_time() - began


def texts(quick: bool) -> Iterator[Point]:
    """Texts of 10 to 2,000 tokens: all of them read, and as the model reads by default."""
    rng = random.Random(0)
    words = " ".join(f"{row.title} {row.description}" for row in news.rows(count=500)).split()
    for long_text in ("average", None):
        classifier = TextClassifier.load("ag_news_mini", long_text=long_text)
        how = "whole" if long_text else "by default"
        for tokens in (10, 40, 128, 512, 2000):
            count = max(40, (10_000 if quick else 60_000) // tokens)
            some = []
            for _ in range(count):
                begin = rng.randrange(len(words) - 2 * tokens)
                some.append(" ".join(words[begin : begin + int(tokens / 1.3)]))
            found = classifier.logits(some)
            # A token of a text that is not looked at is tokenized all the same: about a twentieth.
            work = (sum(found.tokens) + sum(found.lengths) / 20) / 1000
            cpu = _classified(classifier, some)
            yield Point(f"{tokens:,} tokens, {how}", "1,000 tokens", work, cpu)


def labels(quick: bool) -> Iterator[Point]:
    """A tiny model of 2 to 1,000 labels: scores, labels, JSON."""
    count = 500 if quick else 2000
    sentences = [" ".join(random.Random(i).choices(WORDS[4:8], k=6)) for i in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        for n in (2, 10, 100, 1000):
            table = np.random.default_rng(n).normal(0, 1, (len(WORDS), n)).astype(np.float32)
            config = {"id2label": {str(i): f"label {i}" for i in range(n)}}
            bundle = write_bundle(Path(folder, str(n)), config, embedding=table, width=n)
            classifier = TextClassifier.load(bundle)
            began = time.process_time()
            for prediction in classifier.predict(sentences):
                msgspec.json.encode(prediction)
            cpu = time.process_time() - began
            yield Point(
                f"{n:,} labels", "1,000 texts x (50 + labels)", count * (50 + n) / 1000, cpu
            )


def _run(args: Sequence[str]) -> tuple[float, int]:
    """CPU seconds and memory of a run."""
    run = subprocess.Popen([sys.executable, "-m", "pipeline", "run", *args])
    with used(run) as usage:
        code = run.wait()
    if code != 0:
        sys.exit(f"newsbeam run failed with exit code {code}")
    return usage.cpu, usage.memory


def _from_kafka(
    messages: Callable[[], Iterator[bytes]], partitions: int, *args: str
) -> tuple[float, int]:
    """CPU seconds and memory of a run over messages, Kafka to Kafka."""
    with broker({"news": partitions, **_OUT}) as servers:
        producer = KafkaProducer(
            bootstrap_servers=servers, linger_ms=20, batch_size=1 << 20, max_request_size=1 << 21
        )
        for i, message in enumerate(messages()):
            producer.send("news", message, partition=i % partitions)
        producer.flush()
        producer.close()
        end = f"kafka://{servers}"
        return _run(["--source", f"{end}/news", "--sink", f"{end}/out", "--stop_at_end", *args])


def _titles(count: int, more: int = 0) -> Iterator[bytes]:
    """Messages of a short title; `more` bytes are in a field that makes no text."""
    rows = news.rows(count=1000)
    rest = "x" * more
    for i, row in zip(range(count), itertools.cycle(rows), strict=False):
        yield msgspec.json.encode({"id": str(i), "title": row.title[:40], "more": rest})


def partitions(quick: bool) -> Iterator[Point]:
    """1 to 512 partitions of one backlog."""
    count = 1500 if quick else 6000
    for n in (1, 64) if quick else (1, 4, 64, 512):
        idle, _ = _from_kafka(lambda: _titles(50), n)
        cpu, memory = _from_kafka(lambda: _titles(count), n)
        yield Point(f"{n:,} partitions", "1,000 records", count / 1000, cpu - idle, memory)


def backlog(quick: bool) -> Iterator[Point]:
    """1e4 to 1e6 records that wait; their texts repeat, and are known."""
    for n in (10_000, 40_000) if quick else (10_000, 100_000, 1_000_000):
        idle, _ = _from_kafka(lambda: _titles(50), 4, "--result_cache=2000")
        cpu, memory = _from_kafka(lambda n=n: _titles(n), 4, "--result_cache=2000")
        yield Point(f"{n:,} records", "1,000 records", n / 1000, cpu - idle, memory)


def messages(quick: bool) -> Iterator[Point]:
    """Messages of 1 kB to 1 MB, as many bytes of each."""
    total, most = (100_000_000, 20_000) if quick else (500_000_000, 100_000)
    for size in (1_000, 10_000, 100_000, 1_000_000 - 5_000):
        count = min(most, total // size)
        idle, _ = _from_kafka(lambda: _titles(50), 4, "--result_cache=2000")
        cpu, memory = _from_kafka(
            lambda s=size, c=count: _titles(c, s - 100), 4, "--result_cache=2000"
        )
        # A record costs as much as so many bytes of one, about.
        work = count * (10_000 + size) / 1e6
        yield Point(f"{size / 1000:,.0f} kB", "MB, 10 kB for each record", work, cpu - idle, memory)


def files(quick: bool) -> Iterator[Point]:
    """Files of 1 MB to 1 GB, in lines of 20 kB."""
    for megabytes in (1, 10, 50) if quick else (1, 10, 100, 1000):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "news.jsonl")
            write_news(Path(folder, "little.jsonl"), 200_000, 20_000)
            write_news(source, megabytes * 1_000_000, 20_000)
            idle, _ = _run(["--source", f"{folder}/little.jsonl", "--sink", f"{folder}/o1.jsonl"])
            cpu, memory = _run(["--source", str(source), "--sink", f"{folder}/o2.jsonl"])
        yield Point(f"{megabytes:,} MB", "MB", megabytes, max(0.0, cpu - idle), memory)


SIZES: dict[str, Callable[[bool], Iterator[Point]]] = {
    "texts": texts,
    "labels": labels,
    "partitions": partitions,
    "messages": messages,
    "backlog": backlog,
    "files": files,
}


def main(args: Sequence[str] | None = None) -> int:
    """Prints the cost of a unit for each value of each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", choices=[*SIZES, []], help="default: all of them")
    parser.add_argument("--quick", action="store_true", help="smaller values, in a few minutes")
    options = parser.parse_args(args)
    grown = 0
    for name in options.sizes or SIZES:
        first: dict[str, float] = {}
        for point in SIZES[name](options.quick):
            cost = point.cpu / point.work
            ratio = cost / first.setdefault(point.unit + point.value.partition(", ")[2], cost)
            mark = "  grows" if ratio > GROWN else ""
            grown += bool(mark)
            memory = f", {point.memory / 2**20:,.0f} MiB" if point.memory else ""
            print(
                f"{name:<11}{point.value:<26}{cost * 1000:10.2f} ms CPU per {point.unit}, "
                f"{ratio:.2f} of the first{memory}{mark}",
                flush=True,
            )
    print(f"{grown} grow faster than their work")
    return 0


if __name__ == "__main__":
    sys.exit(main())
