"""The demo on Pub/Sub: Google's fake, and Google's clients on a connection of the demo's own."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.api_core.exceptions import GoogleAPICallError, from_grpc_error
from google.pubsub_v1 import (
    PublisherClient,
    PublishRequest,
    PubsubMessage,
    SubscriberClient,
    Subscription,
)
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from pipeline.demo.bus import (
    CATEGORIZED,
    DEAD_LETTERS,
    NEWS,
    Bus,
    DemoError,
    Outcomes,
    Outgoing,
    Producer,
)
from pipeline.demo.pubsub import EmbeddedPubSub
from transforms.pubsub.attributes import Carried, Content, excess, to_attributes
from transforms.pubsub.client import EMULATOR
from transforms.pubsub.messages import message_of
from transforms.pubsub.names import subscription_path, topic_path
from transforms.records import Message, PubSubPosition

PROJECT = "newsbeam-demo"
#: The subscription of the pipeline.
NEWS_SUBSCRIPTION = f"{NEWS}-sub"
#: The subscription of those who read along: what it gives, others don't miss.
READ_ALONG = f"{CATEGORIZED}-read-along"
#: Subscriptions to their topics.
SUBSCRIPTIONS = {
    NEWS_SUBSCRIPTION: NEWS,
    f"{CATEGORIZED}-sub": CATEGORIZED,
    f"{DEAD_LETTERS}-sub": DEAD_LETTERS,
    READ_ALONG: CATEGORIZED,
}
#: Messages sent that have no answer yet, at most.
UNDER_WAY = 1000
#: How often one looks for outcomes, in seconds: the fake answers at once, with what there is.
LOOK = 0.02
#: The most messages of an answer: the largest of the poison has 1 MB, and an answer at most 32.
MOST = 20
#: How long an answer may take, in seconds.
TIMEOUT = 60.0


class PubSubBus(Bus):
    """Google's fake Pub/Sub with the demo's topics and subscriptions.

    While it runs, PUBSUB_EMULATOR_HOST names it in this process, whatever it was before; that comes
    back when it stops.

    Args:
        building: Is called before the fake is built, which takes a minute and is done once.
    """

    def __init__(self, building: Callable[[], None]) -> None:
        self._fake = EmbeddedPubSub(building=building)
        self._started = contextlib.ExitStack()
        self._channel: Any = None

    @property
    def address(self) -> str:
        """Where it listens, as `HOST:PORT`."""
        return self._fake.address

    def start(self) -> None:
        self._started.callback(self._fake.stop)
        self._fake.start()
        self._started.enter_context(_environment(EMULATOR, self.address))
        # The pipeline closes all connections of its kind when it ends; this one goes on, for what it
        # has left. It never leaves the machine: no proxy is asked.
        unlimited = ("grpc.max_receive_message_length", -1)
        channel = grpc.insecure_channel(self.address, [unlimited, ("grpc.enable_http_proxy", 0)])
        self._channel = self._started.enter_context(channel)
        try:
            self._create()
        except GoogleAPICallError as e:
            raise RuntimeError(f"it makes no topics: {e}") from e

    def _create(self) -> None:
        """Makes topics and subscriptions."""
        once = {"retry": None, "timeout": TIMEOUT}
        for topic in (NEWS, CATEGORIZED, DEAD_LETTERS):
            self._publisher().create_topic(name=topic_path(PROJECT, topic), **once)
        for name, topic in SUBSCRIPTIONS.items():
            subscription = Subscription(
                name=subscription_path(PROJECT, name),
                topic=topic_path(PROJECT, topic),
                ack_deadline_seconds=60,
            )
            self._subscriber().create_subscription(subscription, **once)

    def stop(self) -> None:
        self._started.close()

    @property
    def source(self) -> str:
        return f"pubsub://{PROJECT}/{NEWS_SUBSCRIPTION}"

    @property
    def sink(self) -> str:
        return f"pubsub://{PROJECT}/{CATEGORIZED}"

    @property
    def dead_letters(self) -> str:
        return f"pubsub://{PROJECT}/{DEAD_LETTERS}"

    @property
    def read_along(self) -> str:
        uri = f"pubsub://{PROJECT}/{READ_ALONG}"
        return f"{EMULATOR}={self.address} newsbeam consume {uri} --follow"

    def refusal(self, message: Outgoing) -> str | None:
        why = excess(_carried(message))
        return None if why is None else f"Pub/Sub does not take it: {why}"

    def producer(self) -> Producer:
        return _PubSubIn(self._publisher())

    def outcomes(self) -> Outcomes:
        return _PubSubOut(self._subscriber())

    def _publisher(self) -> PublisherClient:
        return PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))

    def _subscriber(self) -> SubscriberClient:
        return SubscriberClient(transport=SubscriberGrpcTransport(channel=self._channel))


def _carried(message: Outgoing) -> Carried:
    """A message as Pub/Sub carries it: its key is an attribute."""
    return to_attributes(Content(message.value, message.key, ()))


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Sets a variable of the environment, and puts back what was there."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


class _PubSubIn(Producer):
    def __init__(self, client: PublisherClient) -> None:
        self._publish = client.transport.publish
        self._room = threading.Semaphore(UNDER_WAY)

    def send(
        self,
        message: Outgoing,
        booked: Callable[[str], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        def answered(future: Any) -> None:
            try:
                [message_id] = future.result().message_ids
                booked(str(PubSubPosition(NEWS_SUBSCRIPTION, message_id)))
            except Exception as e:  # there is nobody else to tell it
                failed(from_grpc_error(e) if isinstance(e, grpc.RpcError) else e)
            finally:
                self._room.release()

        carried = _carried(message)
        request = PublishRequest(
            topic=topic_path(PROJECT, NEWS),
            messages=[PubsubMessage(data=carried.data, attributes=carried.attributes)],
        )
        self._room.acquire()
        self._publish.future(request, timeout=TIMEOUT).add_done_callback(answered)

    def flush(self) -> None:
        # Whoever has all the room has waited for all that was under way.
        for _ in range(UNDER_WAY):
            self._room.acquire()
        self._room.release(UNDER_WAY)

    def close(self) -> None:
        """Nothing is its own: the connection is the bus's."""


class _PubSubOut(Outcomes):
    def __init__(self, client: SubscriberClient) -> None:
        self._client = client

    def poll(self, seconds: float) -> list[Message]:
        deadline = time.monotonic() + seconds
        while not (found := self._waiting()) and time.monotonic() < deadline:
            time.sleep(LOOK)
        return found

    def _waiting(self) -> list[Message]:
        names = (f"{CATEGORIZED}-sub", f"{DEAD_LETTERS}-sub")
        try:
            return [message for name in names for message in self._pull(name)]
        except GoogleAPICallError as e:
            raise DemoError.because("reading what came out failed", e) from e

    def _pull(self, name: str) -> list[Message]:
        path = subscription_path(PROJECT, name)
        request = {"subscription": path, "max_messages": MOST, "return_immediately": True}
        pulled = self._client.pull(request=request, retry=None, timeout=TIMEOUT)
        received = [PubsubMessage.pb(r.message) for r in pulled.received_messages]
        if received:
            ids = [r.ack_id for r in pulled.received_messages]
            self._client.acknowledge(subscription=path, ack_ids=ids, retry=None, timeout=TIMEOUT)
        return [message_of(message, name) for message in received]

    def close(self) -> None:
        """Nothing is its own: the connection is the bus's."""
