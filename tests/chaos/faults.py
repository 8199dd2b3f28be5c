"""What is done to a run: each fault is a function that returns when it is over."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import KafkaError

from tests.chaos.sinks import DEAD_LETTERS, PubSubSinks
from tests.servers.processes import wait_until
from tests.servers.stand_alone_flink import KILLS

if TYPE_CHECKING:
    from tests.chaos.run import ChaosRun

#: How long a paused broker stays so, in seconds.
PAUSE = 20.0
#: How long a broker may take to shut down, in seconds.
STOP = 60.0
#: For how long nothing may be committed until a refused write counts as waited out, in seconds.
HELD_UP = 60.0
#: Broker properties that faults need: whoever is not denied something may do everything.
BROKER_PROPERTIES = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
TAKEN_OVER = "newsbeam: another instance has taken over"


def kill(run: ChaosRun) -> None:
    """Kills the pipeline; on Flink, one or two of what does its work, which is then started again."""
    _random_moment(run)
    if run.flink is None:
        run.supervisor.kill()
        return
    for kill_one in KILLS[run.rng.choice(list(KILLS))]:
        kill_one(run.flink)
    time.sleep(run.rng.uniform(0.0, 3.0))
    run.flink.start_killed()


def kill_broker(run: ChaosRun) -> None:
    """Kills a broker, and starts it again after a while."""
    _random_moment(run)
    broker = run.rng.choice(run.brokers)
    run.cluster.kill(broker)
    time.sleep(run.rng.uniform(0.0, 3.0))
    run.cluster.restart(broker)


def pause_server(run: ChaosRun) -> None:
    """Freezes a broker, or Pub/Sub's fake, for a while."""
    _random_moment(run)
    process = run.rng.choice(run.servers())
    process.pause()
    time.sleep(PAUSE)
    process.resume()


def rolling_restart(run: ChaosRun) -> None:
    """Restarts one broker after the other, as an upgrade does; one of them does not end well."""
    _random_moment(run)
    killed = run.rng.choice(run.brokers)
    for broker in run.brokers:
        if broker == killed:
            run.cluster.kill(broker)
        else:
            run.cluster.process(broker).stop(STOP)
        run.cluster.restart(broker)
        run.wait_for(run.cluster.in_sync, "all replicas to be in sync")


def hand_over(run: ChaosRun) -> None:
    """Starts a second instance beside the first.

    With exactly once the second fences the first, which has to say so in one line and end with 3.
    With at least once both run side by side, until the first is asked to finish.
    """
    first = run.supervisor.succeed()
    try:
        if run.exactly_once:
            run.wait_for(lambda: first.code is not None, "the first instance to be fenced")
            expected = 3
        else:
            second = run.supervisor.current
            run.wait_for(lambda: "delivery at least once" in second.said(), "the second to start")
            before = run.done
            run.wait_for(lambda: run.done > before, "two instances to move on")
            first.terminate()
            run.wait_for(lambda: first.code is not None, "the first instance to finish")
            expected = 0
    finally:
        first.kill()
    said = first.said()
    if first.code != expected:
        run.complain(f"handover: exit code {first.code} instead of {expected}, see {first.log}")
    if run.exactly_once and said.count(TAKEN_OVER) != 1:
        run.complain(f"handover: no line {TAKEN_OVER!r}, see {first.log}")
    if "Traceback" in said:
        run.complain(f"handover: a traceback, see {first.log}")


def refuse_dead_letters(run: ChaosRun) -> None:
    """Lets dead letters be refused until the pipeline has noticed, then taken again.

    It has noticed when it has ended, which is right as well, or when it has come to a standstill.
    """
    ends = len(run.supervisor.ends)
    sinks = run.sinks
    with sinks.without_dead_letters() if isinstance(sinks, PubSubSinks) else _denied(run):
        run.wait_for(
            lambda: len(run.supervisor.ends) > ends or run.still_for() > HELD_UP,
            "refused dead letters to be noticed",
        )


@contextlib.contextmanager
def _denied(run: ChaosRun) -> Iterator[None]:
    """Nobody may write to the dead-letter topic of Kafka meanwhile."""
    topic = ResourcePattern(ResourceType.TOPIC, DEAD_LETTERS, ACLResourcePatternType.LITERAL)
    deny = ("User:ANONYMOUS", "*", ACLOperation.WRITE, ACLPermissionType.DENY, topic)
    with run.cluster.admin() as admin:
        admin.create_acls([ACL(*deny)])
    try:
        yield
    finally:
        with run.cluster.admin() as admin:
            wait_until(
                lambda: admin.delete_acls([ACLFilter(*deny)]),
                "the broker to take dead letters again",
                retry_on=(KafkaError,),
            )


def _random_moment(run: ChaosRun) -> None:
    """Waits a random while: half the time for the middle of a commit, where it matters most."""
    if run.rng.random() < 0.5:
        time.sleep(run.rng.uniform(0.0, 2.0))
        return
    before = run.progress.written()
    # Records are written, and their transaction is open, or their offsets are not committed yet.
    run.wait_for(lambda: run.progress.written() > before, "something to be written", 0.005)
    time.sleep(run.rng.uniform(0.0, 0.05))


#: The faults by the name of their option.
FAULTS: dict[str, Callable[[ChaosRun], None]] = {
    "kills": kill,
    "broker_kills": kill_broker,
    "pauses": pause_server,
    "rolling_restarts": rolling_restart,
    "handovers": hand_over,
    "refuse_dead_letters": refuse_dead_letters,
}
