"""What a change does to speed, in ratios and in minutes: `make bench-quick`, before and after.

Each line is a ratio to something measured beside it, so that it says the same on another machine, or
on this one another day. Where the machine is busy, look at the spread over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
from collections import defaultdict
from pathlib import Path

from benchmarks import news, startup
from benchmarks.brokers import broker
from benchmarks.latency import PARTITIONS, WARM_UP, waits
from benchmarks.throughput import bare_loop_apart, newsbeam

DELIVERIES = ("exactly_once", "at_least_once")
MODELS = ("ag_news_small", "ag_news")
#: News a second of the light load, and for how long.
RATE, SECONDS = 100, 10
_SILENT = ("--log_level=error",)


def throughput(csv: Path, count: int, ratios: dict[str, list[float]]) -> float:
    """Kafka to Kafka against a bare loop; returns what the default model's loop does a second."""
    rows = news.rows(csv, count)
    rates: dict[str, float] = {}
    loop = 0.0
    for model in MODELS:
        loop = bare_loop_apart(csv, count, model)
        for delivery in DELIVERIES:
            flags = [f"--model={model}", f"--delivery={delivery}", *_SILENT]
            rate = newsbeam(rows, flags, "kafka").rate
            ratios[f"{model}, {delivery}, of a bare loop's rows/s"].append(rate / loop)
            rates[f"{model}, {delivery}"] = rate
    for delivery in DELIVERIES:
        small, cascade = (rates[f"{model}, {delivery}"] for model in MODELS)
        ratios[f"ag_news of ag_news_small's rows/s, {delivery}"].append(cascade / small)
    return loop


def latency(csv: Path, one: float, ratios: dict[str, list[float]]) -> None:
    """Produce to output under a light load, in times of one text in a bare loop on one core."""
    rows = news.rows(csv, RATE * SECONDS + WARM_UP)
    for delivery in DELIVERIES:
        seconds = waits(rows, RATE, [f"--delivery={delivery}", *_SILENT])
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            what = f"{name} at {RATE}/s, {delivery}, in texts of a bare loop"
            ratios[what].append(news.percentile(seconds, share) / one)


def starts(csv: Path, ratios: dict[str, list[float]]) -> None:
    """Starts against the imports below which none can get."""
    root = startup.ROOT
    floor = startup.command(root, ["-c", startup.MODEL_LIBRARIES]).wall
    for name in ("python -c 'import newsbeam'", "newsbeam classify TEXT"):
        arguments, _ = startup.COMMANDS[name]
        took = startup.command(root, arguments).wall
        ratios[f"{name}, of importing the model's libraries"].append(took / floor)
    beam = startup.command(root, ["-c", startup.BEAM]).wall
    topics = {"news": PARTITIONS, "out": PARTITIONS, "out-dead-letters": 1}
    with broker(topics) as servers:
        rows = news.rows(csv, startup.WAITING)
        news.produce(servers, "news", rows, PARTITIONS)
        took, _ = startup.first_output(root, servers, [])
    ratios[f"{startup.RUN}, of importing Beam"].append(took.wall / beam)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument("--rows", type=int, default=2000, help="of throughput (default: 2000)")
    parser.add_argument("--rounds", type=int, default=2, help="of all (default: 2)")
    options = parser.parse_args()
    ratios: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.rounds):
        with contextlib.redirect_stdout(io.StringIO()):
            rate = throughput(options.csv, options.rows, ratios)
            latency(options.csv, 2 / rate, ratios)
            starts(options.csv, ratios)
    for name, found in ratios.items():
        spread = f"{min(found):.2f} to {max(found):.2f}"
        print(f"{statistics.median(found):8.2f}  {name} ({spread})")


if __name__ == "__main__":
    main()
