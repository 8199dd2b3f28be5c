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
from pathlib import Path

from benchmarks import latency, news
from benchmarks.throughput import newsbeam
from tests.servers.stand_alone_flink import stand_alone_flink


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["latency", "throughput"])
    latency.add_options(parser)
    parser.add_argument("--parallelism", type=int, default=2, help="of the job (default: 2)")
    parser.add_argument("--rows", type=int, help="of throughput (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="of throughput (default: 3)")
    options, args = parser.parse_known_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        stand_alone_flink(Path(folder)) as flink,
    ):
        on_flink = [*flink.args(options.parallelism), *args]
        if options.what == "latency":
            latency.show(options.csv, options, on_flink, flink.cluster.cancel_all)
            return
        rows = news.rows(options.csv, options.rows)
        # A job has an end then.
        on_flink.append("--shutdown_sources_after_idle_ms=1000")
        ratios = []
        for n in range(options.rounds):
            alone = newsbeam(rows, ["--runner=FnApiRunner"], options.broker)
            there = newsbeam(rows, on_flink, options.broker)
            ratios.append(there.rate / alone.rate)
            print(
                f"round {n + 1}: FnApiRunner {alone.rate:.0f} rows/s, Flink {there.rate:.0f} rows/s: "
                f"ratio {ratios[-1]:.2f}; {len(rows)} outputs of each, none lost or doubled",
                flush=True,
            )
        print(f"ratio: median {statistics.median(ratios):.2f}, least {min(ratios):.2f}")


if __name__ == "__main__":
    main()
