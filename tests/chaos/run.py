"""One run under fire: a cluster, a supervised pipeline, news, faults, and the verdict at the end."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kafka import TopicPartition

from tests.chaos.faults import BROKER_PROPERTIES, FAULTS
from tests.chaos.instance import Supervisor
from tests.chaos.news import Feeder, KafkaFeeder, PubSubFeeder, messages
from tests.chaos.progress import Progress
from tests.chaos.sinks import DEAD_LETTERS, KEY, SINK, KafkaSinks, PubSubSinks, Sinks
from tests.chaos.verdict import Verdict, judge
from tests.servers.apache_kafka import KafkaCluster
from tests.servers.processes import ServerProcess
from tests.servers.pubsub import PROJECT, PubSubServer
from tests.servers.stand_alone_flink import StandAloneFlink, stand_alone_flink

EXACTLY_ONCE, AT_LEAST_ONCE = "exactly_once", "at_least_once"
KAFKA, PUBSUB = "kafka", "pubsub"
FLINK = "FlinkRunner"
#: So that Flink commits and recovers soon.
FLINK_ARGS = (
    "--checkpointing_interval=1000",
    "--finish_bundle_before_checkpointing",
    "--max_bundle_time_mills=100",
)
GROUP, SOURCE, SUBSCRIPTION = "chaos", "news", "news-sub"
PARTITIONS = 4
#: How many messages wait for the pipeline: drawn anew after each fault, so that bundles, and with
#: them transactions, are of all sizes.
BACKLOG = (50, 2_000)
#: Of Pub/Sub, what a killed reader held comes again when its lease has ended, a minute later: there have
#: to be others meanwhile.
PUBSUB_BACKLOG, PUBSUB_HELD = (1_500, 4_000), 300
#: Where the faults fall, as shares of the records: there have to be some left after the last one.
FIRST_FAULT, LAST_FAULT = 0.01, 0.92
#: With nothing committed for this long, the pipeline hangs, in seconds.
STUCK_AFTER = 600.0


class Stuck(Exception):
    """The run does not move on."""


@dataclass(frozen=True)
class Plan:
    """What a run is made of.

    Attributes:
        runner: Beam's runner.
        delivery: `exactly_once` or `at_least_once`.
        records: How many messages, at least.
        faults: How often each fault of `FAULTS` comes.
        seed: What the random numbers begin with.
        beam_args: Further options of Beam, such as where Prism is.
        brokers: 1 or 3; of three, any one may be away.
        hot: The share of the messages that all go to one partition.
        source: `kafka` or `pubsub`.
        sink: `kafka` or `pubsub`; that of dead letters, too.
    """

    runner: str
    delivery: str
    records: int
    faults: Mapping[str, int]
    seed: int
    beam_args: tuple[str, ...] = ()
    brokers: int = 1
    hot: float = 0.0
    source: str = KAFKA
    sink: str = KAFKA

    @property
    def name(self) -> str:
        """What the run is called."""
        return f"{self.runner}, {self.delivery}, {self.path}"

    @property
    def path(self) -> str:
        """From where to where."""
        return f"{self.source} to {self.sink}"


@dataclass
class Result:
    """What came of a run.

    Attributes:
        plan: What was to be done.
        records: How many messages went in: more than planned where faults took longer.
        inflicted: How often each fault came.
        restarts: How often the pipeline ended by itself, as it may where it is refused a write.
        complaints: What was wrong beside lost and doubled records.
        verdict: What came out against what went in; None where the run got stuck.
        seconds: How long it took.
    """

    plan: Plan
    records: int = 0
    inflicted: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    complaints: list[str] = field(default_factory=list)
    verdict: Verdict | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the delivery held what it promises, and nothing else was wrong."""
        v = self.verdict
        if v is None or v.lost or v.wrong or self.complaints:
            return False
        return not v.doubled or self.plan.delivery == AT_LEAST_ONCE


class ChaosRun:
    """Runs a plan.

    Args:
        plan: What to do.
        directory: Where the cluster's data and all logs go.
        say: Shows how far it is, given a line.
    """

    def __init__(self, plan: Plan, directory: Path, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._directory = directory
        self._say = say
        self._result = Result(plan)
        self.rng = random.Random(f"{plan.seed} {plan.name}")
        self.exactly_once = plan.delivery == EXACTLY_ONCE
        self._kinds = {plan.source, plan.sink}
        self.brokers = range(1, plan.brokers + 1) if KAFKA in self._kinds else ()
        #: The cluster that does the work, if one does.
        self.flink: StandAloneFlink | None = None
        #: Source records committed as done.
        self.done = 0
        self._moved = time.monotonic()
        self._total: int | None = None

    def run(self) -> Result:
        """Runs to the end, and judges."""
        began = time.monotonic()
        self._directory.mkdir(parents=True)
        with contextlib.ExitStack() as stack:
            self._start_servers(stack)
            self._connect(stack)
            self._draw_backlog()
            self._feeder.start()
            self.supervisor = Supervisor(self._arguments(), self._directory)
            try:
                self._under_fire()
                self._to_the_end()
            except (Stuck, TimeoutError) as e:
                self.complain(str(e))
            else:
                self._result.records = len(self._feeder.sent)
                self._result.verdict = judge(self._feeder.sent, *self.sinks.read())
            finally:
                self.supervisor.current.kill()
        self._look_at_ends()
        self._result.seconds = time.monotonic() - began
        return self._result

    def _start_servers(self, stack: contextlib.ExitStack) -> None:
        plan = self._plan
        if plan.runner == FLINK:
            self.flink = stack.enter_context(stand_alone_flink(self._directory))
        if KAFKA in self._kinds:
            denied = plan.faults["refuse_dead_letters"] and plan.sink == KAFKA
            properties = BROKER_PROPERTIES if denied else {}
            folder = self._directory / "kafka"
            self.cluster = stack.enter_context(
                KafkaCluster(folder, plan.brokers, properties=properties)
            )
            for topic in (SOURCE, SINK, DEAD_LETTERS):
                self.cluster.create_topic(topic, PARTITIONS)
        if PUBSUB in self._kinds:
            self._pubsub = PubSubServer()
            stack.callback(self._pubsub.close)
            os.environ["PUBSUB_EMULATOR_HOST"] = self._pubsub.address

    def _connect(self, stack: contextlib.ExitStack) -> None:
        """Makes what feeds, what looks how far it is, and what reads the outcomes."""
        plan = self._plan
        inputs = messages(self.rng, plan.hot)
        if plan.sink == PUBSUB:
            self.sinks: Sinks = PubSubSinks(self._pubsub)
        else:
            self.sinks = KafkaSinks(self.cluster.bootstrap_servers, PARTITIONS)
        stack.callback(self.sinks.close)
        self.progress: Progress | Sinks = self.sinks
        if plan.source == PUBSUB:
            self._pubsub.create_topic(SOURCE)
            self._pubsub.create_subscription(SUBSCRIPTION, SOURCE)
            self._feeder: Feeder = PubSubFeeder(self._pubsub, SOURCE, KEY, inputs)
            return
        servers = self.cluster.bootstrap_servers
        self._feeder = KafkaFeeder(servers, SOURCE, inputs)
        if plan.sink == KAFKA:
            self.progress = Progress(
                servers,
                GROUP,
                [TopicPartition(SOURCE, p) for p in range(PARTITIONS)],
                [TopicPartition(t, p) for t in (SINK, DEAD_LETTERS) for p in range(PARTITIONS)],
            )
            stack.callback(self.progress.close)

    def servers(self) -> list[ServerProcess | PubSubServer]:
        """All servers that can be paused."""
        found: list[ServerProcess | PubSubServer] = [self.cluster.process(b) for b in self.brokers]
        return [*found, self._pubsub] if PUBSUB in self._kinds else found

    def _arguments(self) -> list[str]:
        plan = self._plan
        source, held = f"pubsub://{PROJECT}/{SUBSCRIPTION}", [f"--max_outstanding={PUBSUB_HELD}"]
        if plan.source == KAFKA:
            source, held = f"kafka://{self.cluster.bootstrap_servers}/{SOURCE}?group={GROUP}", []
        sink, dead_letters = self.sinks.uris
        return [
            *("--source", source, "--sink", sink, "--dead_letters", dead_letters),
            f"--delivery={plan.delivery}",
            f"--runner={plan.runner}",
            *plan.beam_args,
            *((*self.flink.args(), *FLINK_ARGS) if self.flink is not None else ()),
            *held,
        ]

    def _under_fire(self) -> None:
        """Inflicts the faults in random order, each at a random count and after new progress."""
        order = [name for name, n in self._plan.faults.items() for _ in range(n)]
        self.rng.shuffle(order)
        records = self._plan.records
        moments = sorted(
            self.rng.uniform(FIRST_FAULT * records, LAST_FAULT * records) for _ in order
        )
        for name, moment in zip(order, moments, strict=True):
            at_least = max(moment, self.done + 1)
            self.wait_for(lambda least=at_least: self.done >= least, f"progress before {name}")  # type: ignore[misc]
            self.supervisor.during = name
            FAULTS[name](self)
            self._result.inflicted[name] += 1
            self._draw_backlog()
            # What was committed before it was killed is not progress after it.
            self._look()

    def _to_the_end(self) -> None:
        """Lets the last messages go, and waits until all are done; ends the pipeline."""
        total = max(self._plan.records, self._feeder.limit)
        self._backlog = total
        self._feeder.go_to(total)
        self._total = total
        self.wait_for(lambda: self.done >= total, "the last records")
        self._feeder.close()
        if self.flink is not None:
            # Its client may not have lived to the end.
            self.flink.cluster.cancel_all()
            return
        if code := self.supervisor.finish():
            log = self.supervisor.current.log
            self.complain(f"exit code {code} instead of 0 after SIGTERM, see {log}")

    def _draw_backlog(self) -> None:
        low, high = PUBSUB_BACKLOG if self._plan.source == PUBSUB else BACKLOG
        self._backlog = round(low * (high / low) ** self.rng.random())

    def wait_for(self, condition: Callable[[], bool], what: str, interval: float = 0.1) -> None:
        """Waits for a condition, while the pipeline is kept running and news keeps coming.

        Args:
            condition: What to wait for.
            what: Its name.
            interval: Seconds between two looks.

        Raises:
            Stuck: Nothing has moved for a long time.
        """
        next_look = 0.0
        while not condition():
            now = time.monotonic()
            if now >= next_look:
                self._look()
                next_look = now + 0.1
            if self.still_for() > STUCK_AFTER:
                log = self.supervisor.current.log
                raise Stuck(f"stuck for {STUCK_AFTER:.0f} s waiting for {what}, see {log}")
            time.sleep(interval)

    def _look(self) -> None:
        """Looks how far it is; feeds, restarts and shows accordingly."""
        done = self.progress.committed()
        if done > self.done:
            self.done, self._moved = done, time.monotonic()
        self.supervisor.look()
        if self._feeder.error is not None:
            raise Stuck(f"the producer of the news failed: {self._feeder.error!r}")
        wanted = self.done + self._backlog
        # After the last fault there is an end; while faults are to come, news comes as well.
        self._feeder.go_to(wanted if self._total is None else min(wanted, self._total))
        faults = ", ".join(
            f"{self._result.inflicted[name]}/{n} {name.replace('_', ' ')}"
            for name, n in self._plan.faults.items()
            if n
        )
        self._say(
            f"{self._plan.name}: {self.done:,} of {self._plan.records:,} done, "
            f"{len(self._feeder.sent) - self.done:,} waiting; {faults}; "
            f"{len(self.supervisor.ends)} restarts"
        )

    def still_for(self) -> float:
        """Seconds since something was committed."""
        return time.monotonic() - self._moved

    def complain(self, what: str) -> None:
        """Notes that something is wrong."""
        self._result.complaints.append(what)

    def _look_at_ends(self) -> None:
        """A pipeline may end where it is refused a write; anything else it has to sit out."""
        self._result.restarts = len(self.supervisor.ends)
        for end in self.supervisor.ends:
            if end.during != "refuse_dead_letters":
                self.complain(
                    f"ended by itself during or after {end.during} with {end.code}: "
                    f"{end.last_line!r}, see {end.log}"
                )
        for log in self.supervisor.logs():
            if "Traceback" in log.read_text(errors="replace"):
                self.complain(f"a traceback, see {log}")
