"""Kafka to Kafka against a bare loop: the share of the model's own speed that a user gets.

A bare loop tokenizes each text and runs it through ONNX Runtime, on as many threads as cores: no
Kafka, no JSON, no Beam. Both run in turn over the same rows, so that the ratio holds while the
machine's speed drifts. Also checks the outputs: none lost, none doubled, and their accuracy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import news
from benchmarks.brokers import broker
from benchmarks.usage import used
from models.bundle import Bundle
from models.onnx import OnnxModel
from transforms.classify import BATCH_SIZE

PARTITIONS = 4


def bare_loop(rows: list[news.Row], name: str | None) -> float:
    """Rows per second of tokenizing and running each row, one call a row of each model asked."""
    bundle = Bundle.load(name)
    tokenizer = bundle.tokenizer()
    tokenizer.enable_truncation(bundle.max_length)
    # The sessions themselves: what newsbeam adds is what is measured against this.
    asked = [(OnnxModel(stage.bundle)._session, stage) for stage in bundle.stages]

    def classify(row: news.Row) -> int:
        ids = np.array([tokenizer.encode(row.text).ids], dtype=np.int64)
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        for session, stage in asked:
            logits = session.run(None, feed)[0][0]
            powers = np.exp((logits - logits.max()) / stage.bundle.temperature)
            if powers.max() / powers.sum() >= stage.min_score:
                break
        return int(logits.argmax())

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(classify, rows[:50]))
        started = time.perf_counter()
        list(pool.map(classify, rows))
        return len(rows) / (time.perf_counter() - started)


def bare_loop_apart(csv: Path, rows: int, name: str | None) -> float:
    """What `bare_loop` gives in a process of its own, as newsbeam is one."""
    command = [sys.executable, "-m", "benchmarks.throughput", "--bare-only", "--csv", str(csv)]
    command += ["--rows", str(rows), *(["--model", name] if name else [])]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(found.stdout)


class Measured(NamedTuple):
    """What a run gave.

    Attributes:
        rate: Rows per second, from the first output to the last.
        accuracy: Of the outputs.
        memory: The most resident memory, in bytes.
        cpu: CPU time, in seconds, start and end included.
    """

    rate: float
    accuracy: float
    memory: int
    cpu: float


def newsbeam(
    rows: list[news.Row], args: list[str], kind: str, partitions: int = PARTITIONS
) -> Measured:
    """Runs rows through Kafka, newsbeam and Kafka; every row has to come out, once."""
    topics = {"news": partitions, "out": PARTITIONS, "out-dead-letters": 1}
    with broker(topics, kind) as servers:
        news.produce(servers, "news", rows, partitions)
        run = news.newsbeam_run(
            f"kafka://{servers}/news", f"kafka://{servers}/out", "--stop_at_end", *args
        )
        with used(run) as usage:
            code = run.wait()
        if code != 0:
            sys.exit(f"newsbeam run failed with exit code {code}")
        found = news.outputs(servers, "out")
    items = [output.item for output in found]
    labels = {row.id: row.label for row in rows}
    ids = {item.id for item in items}
    lost, doubled = len(labels.keys() - ids), len(items) - len(ids)
    if lost or doubled:
        sys.exit(f"{lost} rows lost, {doubled} doubled")
    first = min(item.processed_time.timestamp() for item in items)
    # The embedded broker keeps the time of the message instead: then the last one classified counts.
    last = max(output.written for output in found)
    if last < first:
        last = max(item.processed_time.timestamp() for item in items)
    right = sum(labels[item.id] == item.category for item in items)
    # The first batch was worked on before the first output.
    rate = (len(items) - BATCH_SIZE) / (last - first)
    return Measured(rate, right / len(items), usage.memory, usage.cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument("--rows", type=int, help="rows to run (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs (default: 3)")
    parser.add_argument(
        "--partitions", type=int, default=PARTITIONS, help="of the source (default: 4)"
    )
    parser.add_argument("--runner", default="FnApiRunner", help="Beam runner")
    parser.add_argument("--model", help="of both (default: newsbeam's own)")
    parser.add_argument("--broker", choices=["kafka", "embedded"], default="kafka")
    parser.add_argument("--bare-only", action="store_true", help=argparse.SUPPRESS)
    options, args = parser.parse_known_args()
    rows = news.rows(options.csv, options.rows)
    if options.bare_only:
        print(bare_loop(rows, options.model))
        return
    ratios = []
    if options.model:
        args += ["--model", options.model]
    for n in range(options.rounds):
        loop = bare_loop_apart(options.csv, len(rows), options.model)
        runner = f"--runner={options.runner}"
        result = newsbeam(rows, [runner, *args], options.broker, options.partitions)
        ratios.append(result.rate / loop)
        print(
            f"round {n + 1}: bare loop {loop:.1f} rows/s, newsbeam on {options.runner} "
            f"{result.rate:.1f} rows/s: ratio {ratios[-1]:.3f}; {len(rows)} outputs, none lost or "
            f"doubled, accuracy {result.accuracy:.4f}",
            flush=True,
        )
    print(f"ratio: median {statistics.median(ratios):.3f}, least {min(ratios):.3f}")


if __name__ == "__main__":
    main()
