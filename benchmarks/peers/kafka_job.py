"""Kafka to Kafka: rows that wait in a topic, and what a program makes of them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import msgspec
from kafka import KafkaConsumer, TopicPartition

from benchmarks import news
from benchmarks.peers.runs import LIMIT, Failed, Measured, running
from tests.servers.apache_kafka import KafkaCluster

PARTITIONS = 4
#: The share of the rows that warm up.
WARM_UP = 0.2
#: Outputs that are nearer to each other, in seconds, were written together.
TOGETHER = 0.02


class _Output(msgspec.Struct):
    id: str
    category: str


def steady_rate(times: Sequence[float]) -> float:
    """Rows a second of what came out, the first fifth of it left out.

    Programs write in bursts: it counts from the end of the burst that the fifth is in.

    Args:
        times: When each row was written, in seconds; at least two times that differ.
    """
    times = sorted(times)
    first = int(len(times) * WARM_UP)
    last = first
    while last < len(times) - 1 and times[last + 1] - times[last] < TOGETHER:
        last += 1
    begin = last
    if last >= len(times) * (1 - WARM_UP):
        # Too little is left: from the end of the burst before. What never pauses has none.
        begin = first
        while begin > 0 and times[begin] - times[begin - 1] < TOGETHER:
            begin -= 1
        begin = begin - 1 if begin else first
    return (len(times) - 1 - begin) / (times[-1] - times[begin])


def measure(
    cluster: KafkaCluster, name: str, run_name: str, command: list[str], rows: Sequence[news.Row]
) -> Measured:
    """Starts a program of `Job.KAFKA` on rows that wait, and stops it when all have come out.

    Args:
        cluster: Where the topics are.
        name: Of the peer.
        run_name: Of this run: topics and consumer group are called so.
        command: The program, but for its last four arguments.
        rows: What it classifies.

    Raises:
        Failed: It ended before all rows had come out, or took too long.
    """
    source, sink = f"{run_name}-news", f"{run_name}-out"
    cluster.create_topic(source, PARTITIONS)
    cluster.create_topic(sink, PARTITIONS, {"message.timestamp.type": "LogAppendTime"})
    cluster.create_topic(f"{sink}-dead-letters")
    servers = cluster.bootstrap_servers
    news.produce(servers, source, rows, PARTITIONS)
    started = time.time()
    with running(name, [*command, servers, source, sink, run_name]) as (run, usage):
        found, written = _outputs(servers, sink, len(rows), run)
    return Measured(
        rows=len(rows),
        rate=steady_rate(written),
        accuracy=sum(found[row.id] == row.label for row in rows) / len(rows),
        first_result_s=min(written) - started,
        memory=usage.memory,
    )


def _outputs(
    servers: str, topic: str, count: int, run: subprocess.Popen[bytes]
) -> tuple[dict[str, str], list[float]]:
    """Reads outputs until so many rows are there: the category of each, and when each was written."""
    found: dict[str, str] = {}
    written: list[float] = []
    with _reader(servers, topic) as consumer:
        until = time.monotonic() + LIMIT
        while len(found) < count:
            if run.poll() is not None:
                raise Failed(f"ended with {run.returncode} after {len(found)} rows")
            if time.monotonic() > until:
                raise Failed(f"took more than {LIMIT:.0f} s for {len(found)} rows")
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    output = msgspec.json.decode(record.value, type=_Output)
                    if output.id not in found:
                        found[output.id] = output.category
                        written.append(record.timestamp / 1000)
    return found, written


@contextmanager
def _reader(servers: str, topic: str) -> Iterator[KafkaConsumer]:
    """A reader of committed records that rarely asks, so that it takes little from the program."""
    with closing(
        KafkaConsumer(
            bootstrap_servers=servers,
            isolation_level="read_committed",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_min_bytes=1 << 20,
            fetch_max_wait_ms=500,
        )
    ) as consumer:
        consumer.assign([TopicPartition(topic, p) for p in range(PARTITIONS)])
        yield consumer
