"""Many partitions, one of them busy: how long records of the quiet ones wait, and what it costs.

For each number of partitions, two runs. One works off a backlog that is spread over all of them:
throughput against a bare loop of tokenizer and ONNX Runtime, memory, CPU. In the other, all the backlog
waits in a single partition (`--hot most`: in all but one) while a few records a second come to the
others: how long each of these takes from its send until a reader of committed outputs has it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kafka import KafkaProducer

from benchmarks import news
from benchmarks.brokers import broker
from benchmarks.latency import reader
from benchmarks.throughput import newsbeam
from benchmarks.usage import stop
from transforms.records import categorized_from_json

OUT_PARTITIONS = 4


def quiet_ones(
    rows: Sequence[news.Row],
    partitions: int,
    hot: int,
    rate: float,
    seconds: float,
    args: list[str],
) -> tuple[list[float], float]:
    """Seconds from send to output of records to partitions that have no backlog; outputs a second.

    Args:
        rows: The backlog.
        partitions: How many there are.
        hot: The backlog waits in the first so many; the others are quiet.
        rate: Records a second to the quiet ones.
        seconds: For how long.
        args: More arguments of `newsbeam run`.
    """
    topics = {"news": partitions, "out": OUT_PARTITIONS, "out-dead-letters": 1}
    with broker(topics) as servers:
        news.produce(servers, "news", rows, hot)
        consumer = reader(servers, "out")
        producer = KafkaProducer(bootstrap_servers=servers, linger_ms=0)
        run = news.newsbeam_run(f"kafka://{servers}/news", f"kafka://{servers}/out", *args)
        sent: dict[str, float] = {}
        waited: dict[str, float] = {}
        total = 0

        def read(until: float) -> None:
            nonlocal total
            while (left := until - time.perf_counter()) > 0:
                for records in consumer.poll(timeout_ms=max(1, int(left * 1000))).values():
                    now = time.perf_counter()
                    total += len(records)
                    for record in records:
                        id = categorized_from_json(record.value).id
                        if id in sent:
                            waited[id] = now - sent[id]

        try:
            while total < 2000:
                read(time.perf_counter() + 0.5)
                if run.poll() is not None:
                    sys.exit(f"newsbeam run ended with {run.returncode}")
            started, before = time.perf_counter(), total
            quiet = range(hot, partitions)
            for i in range(int(rate * seconds)):
                read(started + i / rate)
                id = f"quiet-{i:05}"
                row = news.Row(id, "", "Stocks rally", "as oil falls")
                sent[id] = time.perf_counter()
                producer.send("news", row.message(), partition=quiet[i % len(quiet)])
            speed = (total - before) / (time.perf_counter() - started)
            if total >= len(rows):
                print("the backlog was worked off too soon: give --backlog more", flush=True)
            while len(waited) < len(sent):
                read(time.perf_counter() + 0.5)
        finally:
            producer.close()
            consumer.close()
            stop(run)
    return list(waited.values()), speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 4, 64, 1000])
    parser.add_argument("--rows", type=int, default=7600, help="rows of the spread backlog")
    parser.add_argument("--backlog", type=int, default=25_000, help="records of the busy ones")
    parser.add_argument("--hot", choices=["one", "most"], default="one")
    parser.add_argument("--rate", type=float, default=20, help="records/s to the quiet ones")
    parser.add_argument("--seconds", type=float, default=20, help="for how long")
    parser.add_argument("--skip", choices=["throughput", "latency"])
    options, args = parser.parse_known_args()
    rows = news.rows(options.csv, options.rows)
    for partitions in options.partitions:
        if options.skip != "throughput":
            command = [sys.executable, "-m", "benchmarks.throughput", "--bare-only"]
            command += ["--csv", str(options.csv), "--rows", str(min(3000, len(rows)))]
            found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            loop = float(found.stdout)
            result = newsbeam(rows, args, "kafka", partitions)
            print(
                f"{partitions} partitions, backlog in all: {result.rate:.0f} rows/s, ratio to a "
                f"bare loop {result.rate / loop:.3f}; memory {result.memory / 2**20:.0f} MiB, CPU "
                f"{result.cpu / len(rows) * 1000:.2f} ms a row",
                flush=True,
            )
        if partitions > 1 and options.skip != "latency":
            hot = 1 if options.hot == "one" else partitions - 1
            backlog = news.rows(options.csv, options.backlog)
            waited, speed = quiet_ones(
                backlog, partitions, hot, options.rate, options.seconds, args
            )
            p50, p99 = (news.percentile(waited, share) for share in (0.5, 0.99))
            print(
                f"{partitions} partitions, backlog in {hot}: {speed:.0f} outputs/s; {len(waited)} "
                f"records of the others waited p50 {p50:.2f} s, p99 {p99:.2f} s, "
                f"max {max(waited):.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
