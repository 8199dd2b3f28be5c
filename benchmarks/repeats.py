"""What `--result_cache` brings where news repeat: with it and without, run by run in turn."""

from __future__ import annotations

import argparse
import dataclasses
import random
import statistics
from pathlib import Path

from benchmarks import news
from benchmarks.throughput import newsbeam


def repeating(rows: list[news.Row], share: float) -> list[news.Row]:
    """As many rows, of which a share has the text of an earlier one, under an id of its own."""
    rng = random.Random(0)
    found = rows[:1]
    for row in rows[1:]:
        if rng.random() < share:
            row = dataclasses.replace(rng.choice(found), id=row.id)
        found.append(row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument("--rows", type=int, default=4000, help="rows to run (default: 4000)")
    parser.add_argument("--share", type=float, default=0.3, help="that repeats (default: 0.3)")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs (default: 3)")
    options, args = parser.parse_known_args()
    rows = repeating(news.rows(options.csv, options.rows), options.share)
    ratios = []
    for n in range(options.rounds):
        kept = newsbeam(rows, [f"--result_cache={len(rows)}", *args], "kafka")
        anew = newsbeam(rows, args, "kafka")
        if kept.accuracy != anew.accuracy:
            raise SystemExit(f"accuracy {kept.accuracy} with it, {anew.accuracy} without")
        ratios.append(kept.rate / anew.rate)
        print(
            f"round {n + 1}: {kept.rate:.0f} rows/s with results kept, {anew.rate:.0f} without: ratio "
            f"{ratios[-1]:.2f}; CPU {kept.cpu / anew.cpu:.2f}; accuracy {kept.accuracy:.4f} of both",
            flush=True,
        )
    print(f"ratio: median {statistics.median(ratios):.2f}, least {min(ratios):.2f}")


if __name__ == "__main__":
    main()
