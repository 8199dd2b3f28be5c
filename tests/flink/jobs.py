"""What the tests on a stand-alone Flink share: jobs, news that keeps coming, and outcomes."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition

from tests.integration.harness import Process, Sent, Topics, produce, running, short
from tests.servers.stand_alone_flink import StandAloneFlink

#: Of a wait, in seconds: machines are slow, and Flink has much to start.
PATIENCE = 600.0
#: Set here, so that a job commits and recovers soon.
FLAGS = (
    "--checkpointing_interval=1000",
    "--finish_bundle_before_checkpointing",
    "--max_bundle_time_mills=100",
)


@dataclass(frozen=True)
class Job:
    """A job, and the `newsbeam run` that submitted it."""

    id: str
    client: Process


@contextmanager
def submitted(
    flink: StandAloneFlink, args: Sequence[str], folder: Path, parallelism: int = 2
) -> Iterator[Job]:
    """A job of `newsbeam ARGS`; its client is killed at the end, the job is not.

    Args:
        flink: Where to.
        args: The arguments, without those that lead to Flink.
        folder: Where the client's log goes.
        parallelism: Of the job.
    """
    before = flink.cluster.jobs().keys()
    with running([*args, *flink.args(parallelism), *FLAGS], folder, anew=True) as client:
        found: set[str] = set()

        def there() -> bool:
            found.update(flink.cluster.jobs().keys() - before)
            return bool(found)

        client.wait_for(there, "the job to be submitted", interval=0.2, timeout=PATIENCE)
        yield Job(found.pop(), client)


class Outcomes:
    """What a reader of committed records has seen of outcomes so far.

    Args:
        topics: Of the job.
    """

    def __init__(self, topics: Topics) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=topics.servers,
            isolation_level="read_committed",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
        )
        both = (topics.out, topics.dead)
        partitions = [
            TopicPartition(topic, p)
            for topic in both
            for p in self._consumer.partitions_for_topic(topic) or ()
        ]
        self._consumer.assign(partitions)
        #: How many there are, and the highest number of a message of `short` among them.
        self.count, self.newest = 0, -1

    def look(self) -> int:
        """How many there are by now."""
        for record in itertools.chain(*self._consumer.poll(timeout_ms=20).values()):
            self.count += 1
            if record.key is not None and re.fullmatch(rb"n\d+", record.key):
                self.newest = max(self.newest, int(record.key[1:]))
        return self.count

    def close(self) -> None:
        """Closes its client."""
        self._consumer.close()


class Feeder:
    """Produces news of a few words at a rate, until it is stopped.

    Args:
        topics: To the source of these.
        rate: Messages a second.
    """

    def __init__(self, topics: Topics, rate: float) -> None:
        self._topics, self._rate = topics, rate
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        #: Each message by its place, and how many there are.
        self.sent: dict[str, Sent] = {}
        self.count = 0

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stopped.wait(0.1):
            due = int((time.monotonic() - began) * self._rate)
            news = short(due - self.count, self.count)
            self.sent.update(produce(self._topics.servers, self._topics.news, news))
            self.count = due

    def stop(self) -> None:
        """Stops it: all is sent then."""
        self._stopped.set()
        self._thread.join()

    def __enter__(self) -> Feeder:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def watched(topics: Topics) -> Iterator[Outcomes]:
    """The outcomes of these topics."""
    with closing(Outcomes(topics)) as outcomes:
        yield outcomes
