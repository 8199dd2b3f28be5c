"""Several processes with a model each on one host: as many threads each as cores, or each its share.

`python -m benchmarks.processes [--processes 2] [--seconds 8] [--rounds 3]`
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import time
from typing import Any

from models.bundle import Bundle
from models.onnx import OnnxModel
from models.pool import cores, limit, share_of_host
from models.tokenize import TextTokenizer

#: As long as headlines with a first sentence are.
_TEXT = (
    "Shares rise after the company reports record quarterly profit, and oil falls below {} dollars."
)
_ROWS = 64


def work(threads: int, seconds: float, begin: Any, results: Any) -> None:
    """Classifies for some seconds, as a worker does, from when all processes are ready."""
    bundle = Bundle.load()
    limit(threads)
    model = OnnxModel(bundle, threads)
    texts = [_TEXT.format(i) for i in range(_ROWS)]
    rows = [window for each in TextTokenizer(bundle)(texts) for window in each.windows]
    model.logits(rows)
    begin.wait()
    end, done, times, cpu = time.monotonic() + seconds, 0, [], time.process_time()
    while (now := time.monotonic()) < end:
        model.logits(rows)
        times.append(time.monotonic() - now)
        done += len(rows)
    cpu_of_row = (time.process_time() - cpu) / done
    results.put((done / seconds, statistics.quantiles(times, n=100)[98], cpu_of_row))


def measure(processes: int, threads: int, seconds: float) -> tuple[float, float, float]:
    """Rows a second of all processes, the 99th percentile of a batch's time, and CPU time a row."""
    context = multiprocessing.get_context("spawn")
    begin, results = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=work, args=(threads, seconds, begin, results))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    found = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    rates, p99s, cpu = zip(*found, strict=True)
    return sum(rates), max(p99s), statistics.mean(cpu)


def main() -> int:
    """Measures both by turns, and prints what each round gave."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    share = share_of_host(None, args.processes)
    for each in range(args.rounds):
        for threads in (cores(), share):
            rate, p99, cpu = measure(args.processes, threads, args.seconds)
            print(
                f"round {each + 1}: {args.processes} processes of {threads} threads: "
                f"{rate:7.0f} rows/s, a batch of {_ROWS} at p99 {p99 * 1000:.0f} ms, "
                f"{cpu * 1000:.2f} ms of CPU a row",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
