"""newsbeam on a stand-alone Flink of this machine: latency under a steady load, and throughput.

Flink, its worker pool and Apache Kafka are started here (`tests/servers/`). Latency is from the send
to the read of a committed output, as in `benchmarks.latency`. Throughput is that of rows that wait, in
turn with FnApiRunner, so that the ratio holds while the machine's speed drifts. What is left of the
command line goes to `newsbeam run`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import news
from benchmarks.brokers import broker
from benchmarks.latency import PARTITIONS, WARM_UP, measure
from benchmarks.throughput import newsbeam
from benchmarks.usage import stop
from tests.servers.stand_alone_flink import StandAloneFlink, stand_alone_flink


def latency(
    flink: StandAloneFlink, rows: list[news.Row], rate: float, flags: Sequence[str]
) -> list[float]:
    """Seconds from each row's send until a reader of committed outputs has it.

    Args:
        flink: Where the job runs.
        rows: What is sent; the first few warm up.
        rate: Rows a second.
        flags: Of `newsbeam run`.
    """
    topics = {"news": PARTITIONS, "out": PARTITIONS, "out-dead-letters": 1}
    with broker(topics) as servers:
        run = news.newsbeam_run(f"kafka://{servers}/news", f"kafka://{servers}/out", *flags)
        try:
            return measure(servers, rows, rate)
        finally:
            stop(run)
            flink.cluster.cancel_all()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["latency", "throughput"])
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument("--parallelism", type=int, default=2, help="of the job (default: 2)")
    parser.add_argument("--rate", type=float, default=200, help="of latency (default: 200/s)")
    parser.add_argument("--messages", type=int, default=6000, help="of latency (default: 6000)")
    parser.add_argument("--rows", type=int, help="of throughput (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="of throughput (default: 3)")
    options, args = parser.parse_known_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        stand_alone_flink(Path(folder)) as flink,
    ):
        on_flink = [*flink.args(options.parallelism), *args]
        if options.what == "latency":
            rows = news.rows(options.csv, options.messages + WARM_UP)
            seconds = latency(flink, rows, options.rate, on_flink)
            p50, p99 = (news.percentile(seconds, share) for share in (0.50, 0.99))
            print(
                f"{len(seconds)} messages at {options.rate:g}/s through Flink, parallelism "
                f"{options.parallelism}: p50 {p50:.2f} s, p99 {p99:.2f} s, max {max(seconds):.2f} s"
            )
            return
        rows = news.rows(options.csv, options.rows)
        # A job has an end then.
        on_flink.append("--shutdown_sources_after_idle_ms=1000")
        ratios = []
        for n in range(options.rounds):
            alone = newsbeam(rows, ["--runner=FnApiRunner"], "kafka")
            there = newsbeam(rows, on_flink, "kafka")
            ratios.append(there.rate / alone.rate)
            print(
                f"round {n + 1}: FnApiRunner {alone.rate:.0f} rows/s, Flink {there.rate:.0f} rows/s: "
                f"ratio {ratios[-1]:.2f}; {len(rows)} outputs of each, none lost or doubled",
                flush=True,
            )
        print(f"ratio: median {statistics.median(ratios):.2f}, least {min(ratios):.2f}")


if __name__ == "__main__":
    main()
