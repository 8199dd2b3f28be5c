"""What exactly once costs: its throughput against at-least-once, run by run in turn."""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from benchmarks import news
from benchmarks.throughput import newsbeam


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument("--rows", type=int, help="rows to run (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs (default: 3)")
    options, args = parser.parse_known_args()
    rows = news.rows(options.csv, options.rows)
    ratios = []
    for n in range(options.rounds):
        once = newsbeam(rows, ["--delivery=exactly_once", *args], "kafka").rate
        least = newsbeam(rows, ["--delivery=at_least_once", *args], "kafka").rate
        ratios.append(once / least)
        print(
            f"round {n + 1}: exactly once {once:.1f} rows/s, at least once {least:.1f} rows/s: "
            f"ratio {ratios[-1]:.3f}",
            flush=True,
        )
    print(f"ratio: median {statistics.median(ratios):.3f}, least {min(ratios):.3f}")


if __name__ == "__main__":
    main()
