"""How long a start takes: of the library, of short commands, and of a run until its first output.

Each command is a process of its own, and all run in turn, so that ratios hold while the machine's
speed drifts. Beside them stands what the libraries alone take to import, below which no start can get.
A run reads news that waits in a topic of Kafka, and writes to another; its first output is there when a
reader of committed records has it. Where its time goes is told by runs that take notes. `--against`
measures another checkout in turn with this one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
from kafka import KafkaConsumer, TopicPartition

from benchmarks import news
from benchmarks.brokers import broker
from benchmarks.usage import stop

ROOT = Path(__file__).parents[1]
PARTITIONS = 4
#: How many news wait.
WAITING = 200
TEXT = "Shares rise after the company reports record quarterly profit."
MODEL_LIBRARIES, BEAM = "import onnxruntime, tokenizers, numpy", "import apache_beam"
RUN = "newsbeam run, to its first output"
#: What is measured, and beside what it is set.
COMMANDS: dict[str, tuple[list[str], str | None]] = {
    f"python -c '{MODEL_LIBRARIES}'": (["-c", MODEL_LIBRARIES], None),
    f"python -c '{BEAM}'": (["-c", BEAM], None),
    "python -c 'import newsbeam'": (["-c", "import newsbeam"], MODEL_LIBRARIES),
    "newsbeam --version": (["-m", "pipeline", "--version"], MODEL_LIBRARIES),
    "newsbeam --help": (["-m", "pipeline", "--help"], MODEL_LIBRARIES),
    "newsbeam classify TEXT": (["-m", "pipeline", "classify", TEXT], MODEL_LIBRARIES),
}


class Took(NamedTuple):
    """What a process took, in seconds.

    Attributes:
        wall: Until it ended, or until its first output was read.
        cpu: CPU time of all its threads until then.
    """

    wall: float
    cpu: float


def command(checkout: Path, arguments: Sequence[str]) -> Took:
    """Runs a command to its end."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=checkout, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(arguments)} ended with exit code {process.returncode}")
    return Took(wall, used.ru_utime + used.ru_stime)


def first_output(
    checkout: Path, servers: str, args: Sequence[str], program: Sequence[str] = ("-m", "pipeline")
) -> tuple[Took, float]:
    """Starts a run with a group of its own; what its first output took, and when it was read."""
    with _reader(servers) as reader:
        source = f"kafka://{servers}/news?group=startup-{time.time_ns()}"
        ends = ["--source", source, "--sink", f"kafka://{servers}/out", "--log_level", "error"]
        began = time.perf_counter()
        run = subprocess.Popen([sys.executable, *program, "run", *ends, *args], cwd=checkout)
        try:
            while not reader.poll(timeout_ms=100):
                if run.poll() is not None:
                    sys.exit(f"newsbeam run ended with exit code {run.returncode}")
            read, wall = time.time(), time.perf_counter() - began
            cpu = sum(psutil.Process(run.pid).cpu_times()[:2])
        finally:
            stop(run)
    return Took(wall, cpu), read


@contextlib.contextmanager
def _reader(servers: str) -> Iterator[KafkaConsumer]:
    """A reader of what will be committed from now on."""
    reader = KafkaConsumer(
        bootstrap_servers=servers,
        isolation_level="read_committed",
        group_id=None,
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
    )
    partitions = [TopicPartition("out", p) for p in range(PARTITIONS)]
    reader.assign(partitions)
    reader.seek_to_end(*partitions)
    for partition in partitions:
        reader.position(partition)
    try:
        yield reader
    finally:
        reader.close()


def stages(servers: str, args: Sequence[str]) -> dict[str, float]:
    """The seconds of a run's stages, in order, until its first output is read."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "stages"
        began = time.time()
        program = ("-m", "benchmarks.startup_notes", str(notes))
        _, read = first_output(ROOT, servers, args, program)
        noted = [json.loads(line) for line in notes.read_text().splitlines()]
    found = {}
    for name, at in [*noted, ("its commit, until it is read", read)]:
        found[name], began = at - began, at
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument("--rounds", type=int, default=7, help="starts of each (default: 7)")
    parser.add_argument("--against", type=Path, help="another checkout, measured in turn")
    parser.add_argument("--broker", choices=["kafka", "embedded"], default="kafka")
    options, args = parser.parse_known_args()
    checkouts = [ROOT, *([options.against.resolve()] if options.against else [])]
    took: dict[tuple[str, Path], list[Took]] = defaultdict(list)
    parts: dict[str, list[float]] = defaultdict(list)
    topics = {"news": PARTITIONS, "out": PARTITIONS, "out-dead-letters": 1}
    with broker(topics, options.broker) as servers:
        news.produce(servers, "news", news.rows(options.csv, WAITING), PARTITIONS)
        # The first of each reads files that are in memory from then on.
        for round_ in range(options.rounds + 1):
            for checkout in checkouts:
                found = {
                    name: command(checkout, arguments) for name, (arguments, _) in COMMANDS.items()
                }
                found[RUN] = first_output(checkout, servers, args)[0]
                if round_:
                    for name, each in found.items():
                        took[name, checkout].append(each)
            if round_:
                for name, seconds in stages(servers, args).items():
                    parts[name].append(seconds)
    beside = {name: bare for name, (_, bare) in COMMANDS.items()} | {RUN: BEAM}
    medians = {
        key: Took(*(statistics.median(part) for part in zip(*each, strict=True)))
        for key, each in took.items()
    }
    for name, bare in beside.items():
        wall, cpu = medians[name, ROOT]
        line = f"{name:<55} {wall:6.3f} s, CPU {cpu:6.3f} s"
        if len(checkouts) > 1:
            other = medians[name, checkouts[1]]
            line += f"; {wall / other.wall:4.2f} and {cpu / other.cpu:4.2f} of the other's"
        if bare:
            floor = medians[f"python -c '{bare}'", ROOT]
            line += f"; {wall / floor.wall:4.2f} times {bare}"
        print(line)
    whole = {name: statistics.median(each) for name, each in parts.items()}
    print(f"\n{RUN}, where it goes:")
    for name, seconds in whole.items():
        print(f"  {name:<45} {seconds:6.3f} s  {seconds / sum(whole.values()):4.0%}")


if __name__ == "__main__":
    main()
