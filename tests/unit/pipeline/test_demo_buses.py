"""The buses of the demo, as far as that needs no broker: what they hold, and how they fail."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import grpc
import pytest
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from pipeline.cli import main
from pipeline.demo.bus import Bus, DemoError, Outcomes, Outgoing, Producer
from pipeline.demo.kafka_bus import KafkaBus
from pipeline.demo.poison import POISON
from pipeline.demo.pubsub_bus import PubSubBus, _carried, _PubSubIn, _PubSubOut
from pipeline.demo.traffic import sample_news
from transforms.pubsub.attributes import from_attributes


class Broken(Bus):
    """A bus that does not start.

    Args:
        error: Why.
    """

    source = sink = dead_letters = read_along = ""

    def __init__(self, error: BaseException) -> None:
        self._error = error
        self.stopped = 0

    def start(self) -> None:
        raise self._error

    def stop(self) -> None:
        self.stopped += 1

    def refusal(self, message: Outgoing) -> str | None:
        raise NotImplementedError

    def producer(self) -> Producer:
        raise NotImplementedError

    def outcomes(self) -> Outcomes:
        raise NotImplementedError


def test_what_does_not_start_is_stopped_and_said() -> None:
    bus = Broken(RuntimeError("no\nroom"))
    with pytest.raises(DemoError, match=r"^the broker does not start: no room$"), bus:
        pass
    assert bus.stopped == 1


def test_an_interrupt_at_the_start_stops_it() -> None:
    bus = Broken(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt), bus:
        pass
    assert bus.stopped == 1


def test_what_each_bus_can_not_hold() -> None:
    messages = {p.name: Outgoing(p.value, p.key) for p in POISON}
    pubsub = PubSubBus(lambda: None)
    refused = {name: why for name, m in messages.items() if (why := pubsub.refusal(m)) is not None}
    assert refused == {
        "empty_value": "Pub/Sub does not take it: it has neither data nor attributes"
    }
    assert all(KafkaBus().refusal(m) is None for m in messages.values())
    assert all(pubsub.refusal(m) is None for m in sample_news())


@pytest.mark.parametrize("poison", POISON, ids=lambda p: p.name)
def test_pubsub_carries_value_and_key_as_they_are(poison: object) -> None:
    message = Outgoing(poison.value, poison.key)  # type: ignore[attr-defined]
    carried = _carried(message)
    read = from_attributes(*carried)
    assert (read.value, read.key) == (message.value, message.key)


@pytest.fixture
def nobody() -> Iterator[grpc.Channel]:
    """A connection to where nobody listens."""
    with socket.socket() as bound:  # it does not listen, and nobody else can
        bound.bind(("127.0.0.1", 0))
        with grpc.insecure_channel(f"127.0.0.1:{bound.getsockname()[1]}") as channel:
            yield channel


def test_what_is_not_published_is_told(nobody: grpc.Channel) -> None:
    producer = _PubSubIn(PublisherClient(transport=PublisherGrpcTransport(channel=nobody)))
    booked: list[str] = []
    errors: list[BaseException] = []
    for n in range(5):
        producer.send(Outgoing(b"%d" % n, None), booked.append, errors.append)
    producer.flush()  # each has its answer then
    assert booked == []
    assert [type(e).__name__ for e in errors] == ["ServiceUnavailable"] * 5


def test_a_reader_without_a_broker_says_so(nobody: grpc.Channel) -> None:
    client = SubscriberClient(transport=SubscriberGrpcTransport(channel=nobody))
    with pytest.raises(DemoError, match=r"^reading what came out failed: .*[Cc]onnect"):
        _PubSubOut(client).poll(0.1)


def test_without_google_s_client(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pipeline.demo.pubsub_bus", None)
    monkeypatch.setenv("GRPC_VERBOSITY", "NONE")
    assert main(["demo", "--with", "pubsub"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line == "newsbeam: --with pubsub needs Google's client: pip install 'newsbeam[pubsub]'"
