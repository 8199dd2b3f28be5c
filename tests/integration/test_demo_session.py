"""A run of the demo with a pipeline that misbehaves: it sees what is lost or doubled."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterator

import pytest
from google.pubsub_v1 import PubsubMessage
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from rich.console import Console

from pipeline.demo.bus import CATEGORIZED, NEWS, Bus, DemoError
from pipeline.demo.kafka_bus import TOPICS, KafkaBus
from pipeline.demo.ledger import Totals
from pipeline.demo.pubsub_bus import NEWS_SUBSCRIPTION, PROJECT, PubSubBus
from pipeline.demo.session import Pipeline, Session
from pipeline.demo.show import Show, ok
from pipeline.demo.traffic import mix, sample_news
from transforms.positions import SourcePosition
from transforms.pubsub.client import EMULATOR, PubSubSettings
from transforms.pubsub.names import subscription_path, topic_path
from transforms.records import (
    CategorizedItem,
    KafkaPosition,
    PubSubPosition,
    categorized_to_json,
    now,
)

#: What a copier reads and writes, until it is told to stop: it is given the places of what came, and
#: gives what is to be written.
Copying = Callable[[threading.Event, Callable[[SourcePosition], list[bytes]]], None]


class Copier:
    """A pipeline of our own making, so that it can misbehave: news in, categorized items out.

    Args:
        bus: Where.
        copies: How many outputs it writes for the n-th message.
    """

    def __init__(self, bus: Bus, copies: Callable[[int], int]) -> None:
        self._copy = over_kafka(bus) if isinstance(bus, KafkaBus) else over_pubsub(bus)
        self._copies = copies
        self._seen = 0
        self._drain = threading.Event()

    def execute(self) -> None:
        self._copy(self._drain, self._outputs)

    def _outputs(self, place: SourcePosition) -> list[bytes]:
        item = CategorizedItem("1", "World", 1.0, {}, (), 1, False, "m@1", now(), now(), place, {})
        self._seen += 1
        return [categorized_to_json(item)] * self._copies(self._seen - 1)

    def drain(self) -> None:
        self._drain.set()


def over_kafka(bus: KafkaBus) -> Copying:
    def copy(done: threading.Event, outputs: Callable[[SourcePosition], list[bytes]]) -> None:
        reads = KafkaConsumer(bootstrap_servers=bus.servers, auto_offset_reset="earliest")
        writes = KafkaProducer(bootstrap_servers=bus.servers)
        with contextlib.closing(reads), contextlib.closing(writes):
            reads.assign([TopicPartition(NEWS, p) for p in range(TOPICS[NEWS])])
            while not done.is_set():
                for records in reads.poll(50).values():
                    for r in records:
                        for out in outputs(KafkaPosition(r.topic, r.partition, r.offset)):
                            writes.send(CATEGORIZED, out)
                writes.flush()

    return copy


def over_pubsub(bus: Bus) -> Copying:
    assert isinstance(bus, PubSubBus)
    settings = PubSubSettings(bus.address)
    path = subscription_path(PROJECT, NEWS_SUBSCRIPTION)

    def copy(done: threading.Event, outputs: Callable[[SourcePosition], list[bytes]]) -> None:
        reads, writes = settings.subscriber(), settings.publisher()
        while not done.wait(0.01):
            pulled = reads.pull(subscription=path, max_messages=100, return_immediately=True)
            for r in pulled.received_messages:
                reads.acknowledge(subscription=path, ack_ids=[r.ack_id])
                place = PubSubPosition(NEWS_SUBSCRIPTION, r.message.message_id)
                for out in outputs(place):
                    writes.publish(
                        topic=topic_path(PROJECT, CATEGORIZED), messages=[PubsubMessage(data=out)]
                    )

    return copy


@pytest.fixture(params=["kafka", "pubsub"])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    if request.param == "pubsub":
        request.getfixturevalue("pubsub")  # skips where it can't be built
    with KafkaBus() if request.param == "kafka" else PubSubBus(lambda: None) as started:
        yield started


def totals_of(bus: Bus, copies: Callable[[int], int], patience: float = 600) -> Totals:
    copier = Copier(bus, copies)
    with Show(Console(file=io.StringIO()), "test") as show:
        return Session(
            bus,
            mix(sample_news(), (), 60),
            1000,
            Pipeline(copier.execute, copier.drain),
            show,
            patience=patience,
        ).run()


def test_a_pipeline_that_keeps_its_promise_balances(bus: Bus) -> None:
    totals = totals_of(bus, lambda n: 1)
    assert ok(totals)
    assert (totals.produced, totals.categorized, len(totals.latencies)) == (60, 60, 59)


def test_a_doubled_record_is_seen(bus: Bus) -> None:
    totals = totals_of(bus, lambda n: 2 if n == 3 else 1)
    assert not ok(totals)
    assert (totals.doubled, totals.waiting) == (1, 0)


def test_a_lost_record_is_seen(bus: Bus) -> None:
    totals = totals_of(bus, lambda n: 0 if n == 3 else 1, patience=2)
    assert not ok(totals)
    assert (totals.doubled, totals.waiting) == (0, 1)


def test_a_pipeline_that_fails_is_said_so(bus: Bus) -> None:
    def broken(n: int) -> int:
        raise ValueError("out of\ncheese")

    with pytest.raises(DemoError, match=r"^the pipeline failed: out of cheese$"):
        totals_of(bus, broken)


@pytest.mark.parametrize("before", [None, "elsewhere:8085"])
def test_the_environment_names_the_fake_while_it_runs(
    before: str | None, pubsub: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before is None:
        monkeypatch.delenv(EMULATOR, raising=False)
    else:
        monkeypatch.setenv(EMULATOR, before)
    with PubSubBus(lambda: None) as bus:
        assert os.environ[EMULATOR] == bus.address
    assert os.environ.get(EMULATOR) == before


def test_a_bus_that_does_not_start_is_stopped(
    pubsub: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = PubSubBus(lambda: None)

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bus, "_create", interrupted)
    monkeypatch.delenv(EMULATOR, raising=False)
    with pytest.raises(KeyboardInterrupt), bus:
        pass
    assert not bus._fake.running
    assert EMULATOR not in os.environ
