"""A large file, file to file: does memory stay flat?

Makes JSON lines, by default 1 GB of them, runs the pipeline over them, prints its resident memory at
shares of the bytes, and fails if it grows by 10% or more after the first tenth.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

#: Shares of the file at which memory is told.
SHARES = (0.1, 0.5, 1.0)
#: The growth of resident memory after the first of them that is too much.
LIMIT = 0.10
#: Seconds between two looks.
INTERVAL = 0.5
_WORDS = [
    "striker",
    "scores",
    "cup",
    "final",
    "bank",
    "profit",
    "shares",
    "fall",
    "software",
    "update",
    "minister",
    "peace",
    "talks",
]
_POSITION = re.compile(rb'"position":\[\d+,(\d+)\]')


def write_news(path: Path, size: int, line: int) -> int:
    """Writes JSON lines of made-up news until a file has a size.

    Args:
        path: The file.
        size: Its size in bytes, about.
        line: The size of a line: most of it is a field that makes no text.

    Returns:
        How many lines there are.
    """
    rng = random.Random(0)
    count = 0
    with path.open("w") as file:
        while file.tell() < size:
            title = " ".join(rng.choices(_WORDS, k=8))
            more = rng.randbytes(max(0, line - 100) // 2).hex()
            file.write(json.dumps({"id": str(count), "title": title, "more": more}) + "\n")
            count += 1
    return count


def watch(run: subprocess.Popen[bytes], progress: Path, total: int) -> dict[float, int]:
    """The highest resident memory of a run, in bytes, up to each share of its records."""
    highest: dict[float, int] = {}
    process = psutil.Process(run.pid)
    done = 0.0
    while run.poll() is None:
        try:
            if found := _POSITION.search(progress.read_bytes()):
                done = int(found[1]) / total
        except FileNotFoundError:
            pass  # Not begun, or complete.
        try:
            rss = process.memory_info().rss
        except psutil.Error:
            break
        share = next(share for share in SHARES if done <= share)
        highest[share] = max(highest.get(share, 0), rss)
        time.sleep(INTERVAL)
    return highest


def main(args: Sequence[str] | None = None) -> int:
    """Runs the pipeline over a large file, and judges its memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the file")
    parser.add_argument("--line", type=int, default=20_000, help="bytes of a line")
    parser.add_argument("--model", help="folder of a model; default: that of newsbeam")
    given = parser.parse_args(args)
    with tempfile.TemporaryDirectory(prefix="newsbeam-soak") as folder:
        source, sink = Path(folder, "news.jsonl"), Path(folder, "out.jsonl")
        total = write_news(source, given.megabytes * 1_000_000, given.line)
        command = [sys.executable, "-m", "pipeline", "run"]
        command += ["--source", str(source), "--sink", str(sink)]
        command += ["--model", given.model] if given.model else []
        run = subprocess.Popen(command)
        highest = watch(run, Path(folder, ".out.jsonl.newsbeam-progress"), total)
        if run.wait() != 0:
            return 1
        with sink.open("rb") as file:
            written = sum(1 for _ in file)
    print(f"{given.megabytes} MB in {total:,} lines, {written:,} written")
    for share in SHARES:
        memory = f"{highest[share] / 2**20:,.0f} MiB" if share in highest else "not seen"
        print(f"  to {share:4.0%} of the file: {memory}")
    first, last = highest.get(SHARES[0]), highest.get(SHARES[-1])
    if first and last and last > first * (1 + LIMIT):
        print(f"memory grows with the file: {last / first - 1:.0%}")
        return 1
    return 0 if written == total else 1


if __name__ == "__main__":
    sys.exit(main())
