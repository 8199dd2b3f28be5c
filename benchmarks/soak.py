"""A long run at full speed, Kafka to Kafka: does memory stay flat, and the rate, files and threads?

Samples the pipeline every second while it works through many records, draws what it found, and fails
if resident memory grows by 5% or more once it is warm.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from rich.console import Console
from rich.table import Table

from pipeline.demo.broker import EmbeddedBroker
from pipeline.demo.traffic import sample_news

PARTITIONS = 4
GROUP = "soak"
#: Seconds between two samples.
INTERVAL = 1.0
#: Memory is compared between these shares of the records: 50,000 of 200,000 is warm.
WARM = 0.25
#: The growth of resident memory that is too much.
LIMIT = 0.05
#: A count is smoothed over this many samples: garbage comes and goes.
AROUND = 15
#: Where the table has its rows, as shares of the records.
ROWS = (0.025, 0.25, 0.5, 0.75, 1.0)
#: Samples between two lines of progress.
SAY_EVERY = 30
#: Nothing done for this long is a hang, in seconds.
STUCK_AFTER = 300.0


@dataclass(frozen=True)
class Sample:
    """The pipeline at one moment.

    Attributes:
        seconds: Since its start.
        done: Records whose outputs are durable.
        rss: Resident memory of the process and its children, in bytes.
        files: Open files, sockets included.
        threads: Threads.
    """

    seconds: float
    done: int
    rss: int
    files: int
    threads: int


@contextlib.contextmanager
def broker() -> Iterator[tuple[str, str]]:
    """A broker with the topics: Apache Kafka, or the embedded broker; its address and its name."""
    from tests.servers.apache_kafka import KafkaCluster
    from tests.servers.cache import Unavailable

    topics = {"news": PARTITIONS, "categorized": PARTITIONS, "dead-letters": 1}
    with tempfile.TemporaryDirectory(prefix="newsbeam-soak-") as folder:
        try:
            cluster = KafkaCluster(Path(folder))
        except Unavailable as e:
            print(f"no Apache Kafka here ({e}): using the embedded broker", flush=True)
        else:
            with cluster:
                for name, partitions in topics.items():
                    cluster.create_topic(name, partitions)
                yield cluster.bootstrap_servers, "Apache Kafka"
            return
    with EmbeddedBroker() as embedded:
        embedded.create_topics(topics)
        yield embedded.bootstrap_servers, "the embedded broker"


def produce(servers: str, count: int) -> None:
    """Fills the source topic: sample news, over and over, each with an id of its own."""
    news = [msgspec.json.decode(message.value) for message in sample_news()]
    producer = KafkaProducer(bootstrap_servers=servers, linger_ms=50, batch_size=256 * 1024)
    for i in range(count):
        key = f"soak-{i:07}"
        value = msgspec.json.encode({**news[i % len(news)], "id": key})
        producer.send("news", value, key=key.encode(), partition=i % PARTITIONS)
    producer.flush()
    producer.close()


class Gauge:
    """Measures a running pipeline.

    Args:
        pid: Its process.
        servers: The broker.
    """

    def __init__(self, pid: int, servers: str) -> None:
        self._process = psutil.Process(pid)
        self._began = time.monotonic()
        self._consumer = KafkaConsumer(
            bootstrap_servers=servers, group_id=GROUP, enable_auto_commit=False
        )

    def sample(self) -> Sample:
        """Looks at the process, its children and its committed offsets."""
        processes = [self._process, *self._process.children(recursive=True)]
        offsets = (
            self._consumer.committed(TopicPartition("news", p), timeout_ms=10_000)
            for p in range(PARTITIONS)
        )
        return Sample(
            seconds=time.monotonic() - self._began,
            done=sum(max(0, offset or 0) for offset in offsets),
            rss=sum(p.memory_info().rss for p in processes),
            files=sum(p.num_fds() for p in processes),
            threads=sum(p.num_threads() for p in processes),
        )

    def close(self) -> None:
        """Closes the client."""
        self._consumer.close()


def watch(run: subprocess.Popen[bytes], gauge: Gauge, count: int) -> list[Sample]:
    """Samples until all records are done; the samples."""
    samples = [gauge.sample()]
    moved = time.monotonic()
    while samples[-1].done < count:
        try:
            # A sample a second; a pipeline that ends is seen at once.
            code = run.wait(INTERVAL)
        except subprocess.TimeoutExpired:
            pass
        else:
            sys.exit(f"soak: newsbeam run ended with exit code {code} in the middle")
        samples.append(gauge.sample())
        if len(samples) % SAY_EVERY == 0:
            _say(samples[-1], count)
        if samples[-1].done > samples[-2].done:
            moved = time.monotonic()
        elif time.monotonic() - moved > STUCK_AFTER:
            sys.exit(f"soak: nothing done for {STUCK_AFTER:.0f} s at {samples[-1].done} records")
    return samples


def _say(sample: Sample, count: int) -> None:
    print(
        f"{sample.done:,} of {count:,} records, {sample.rss / 2**20:,.0f} MiB, "
        f"{sample.files} files, {sample.threads} threads, {sample.seconds:.0f} s",
        flush=True,
    )


def at(samples: Sequence[Sample], done: float) -> int:
    """The index of the first sample at which so many records were done."""
    return next(i for i, s in enumerate(samples) if s.done >= done)


def rss_around(samples: Sequence[Sample], index: int) -> float:
    """Resident memory about a sample: the mean of its neighbours and itself, in bytes."""
    # The last sample has neighbours on one side only: so that is taken everywhere.
    near = samples[max(0, index + 1 - AROUND) : index + 1]
    return sum(s.rss for s in near) / len(near)


def rate_before(samples: Sequence[Sample], index: int) -> float:
    """Records per second over the minute before a sample."""
    last = samples[index]
    first = next(s for s in samples if s.seconds >= last.seconds - 60.0)
    return (last.done - first.done) / max(last.seconds - first.seconds, INTERVAL)


def table(samples: Sequence[Sample], count: int) -> Table:
    shown = Table()
    for heading in ("records", "seconds", "records/s", "memory, MiB", "open files", "threads"):
        shown.add_column(heading, justify="right")
    for share in ROWS:
        index = at(samples, share * count)
        sample = samples[index]
        shown.add_row(
            f"{sample.done:,}",
            f"{sample.seconds:.0f}",
            f"{rate_before(samples, index):.1f}",
            f"{rss_around(samples, index) / 2**20:.1f}",
            str(sample.files),
            str(sample.threads),
        )
    return shown


def plot(samples: Sequence[Sample], path: Path, title: str) -> None:
    """Draws rate, memory, files and threads over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    minutes = [s.seconds / 60 for s in samples]
    curves = {
        "records/s": [rate_before(samples, i) for i in range(len(samples))],
        "memory, MiB": [s.rss / 2**20 for s in samples],
        "open files": [s.files for s in samples],
        "threads": [s.threads for s in samples],
    }
    figure, axes = plt.subplots(len(curves), sharex=True, figsize=(9, 10), layout="constrained")
    for axis, (name, values) in zip(axes, curves.items(), strict=True):
        axis.plot(minutes, values, linewidth=1)
        axis.set_ylabel(name)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("minutes")
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def start(servers: str, options: argparse.Namespace, log: Path) -> subprocess.Popen[bytes]:
    """Starts the pipeline as users do, its words in a file."""
    command = [sys.executable, "-m", "pipeline", "run"]
    command += ["--source", f"kafka://{servers}/news?group={GROUP}"]
    command += ["--sink", f"kafka://{servers}/categorized"]
    command += ["--dead_letters", f"kafka://{servers}/dead-letters"]
    command += [f"--delivery={options.delivery}", f"--runner={options.runner}"]
    if options.model:
        command += ["--model", str(options.model)]
    if options.runner == "PrismRunner" and not options.prism_location:
        from tests.servers.prism import prism_binary

        options.prism_location = prism_binary()
    if options.prism_location:
        command.append(f"--prism_location={options.prism_location}")
    with log.open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--records", type=int, default=200_000, help="default: 200000")
    parser.add_argument("--runner", default="FnApiRunner", help="Beam runner")
    parser.add_argument("--prism_location", help="Prism (default: built for the tests)")
    parser.add_argument(
        "--delivery", choices=("exactly_once", "at_least_once"), default="exactly_once"
    )
    parser.add_argument("--model", type=Path, help="model bundle (default: the one in the package)")
    parser.add_argument("--plot", type=Path, default=Path("soak.png"), help="default: soak.png")
    options = parser.parse_args()
    log = options.plot.with_suffix(".log")
    with broker() as (servers, name):
        produce(servers, options.records)
        run = start(servers, options, log)
        try:
            gauge = Gauge(run.pid, servers)
            samples = watch(run, gauge, options.records)
            gauge.close()
            run.terminate()
            code = run.wait()
        finally:
            run.kill()
            run.wait()
    title = f"{options.records:,} records, {options.runner}, {options.delivery}, {name}"
    plot(samples, options.plot, title)
    print(f"{title}; plot in {options.plot}, log in {log}")
    Console(width=None if sys.stdout.isatty() else 100).print(table(samples, options.records))
    warm = rss_around(samples, at(samples, WARM * options.records))
    growth = rss_around(samples, len(samples) - 1) / warm - 1
    print(
        f"resident memory from record {WARM * options.records:,.0f} to {options.records:,}: "
        f"{growth:+.1%} (must stay under {LIMIT:.0%})"
    )
    if code:
        print(f"newsbeam run ended with exit code {code} after SIGTERM: see {log}")
    return 1 if code or growth >= LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
