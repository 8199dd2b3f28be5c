"""Subscriptions that dead letters are taken from, and topics that they are replayed to.

What is replayed is acknowledged once it is published. What is left out is held until the end, lest it
comes again meanwhile, and then given back: it stays in the subscription.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
import uuid
from collections.abc import Generator, Sequence
from typing import Any

from google.pubsub_v1 import StreamingPullRequest

from pipeline.ends.letters import Delivery, Letters, Publisher, Resent, Taking
from transforms.errors import ConfigurationError
from transforms.pubsub.attributes import Carried, Content, excess, to_attributes
from transforms.pubsub.calls import Calls
from transforms.pubsub.checks import check_subscription, check_topic
from transforms.pubsub.client import PubSubSettings, close_channels
from transforms.pubsub.encode import Outgoing, PubSubTopic
from transforms.pubsub.faults import ERRORS, PubSubFailure, said
from transforms.pubsub.messages import message_of
from transforms.pubsub.names import subscription_path
from transforms.pubsub.publish import publish
from transforms.pubsub.stream import Stream
from transforms.pubsub.subscription import END_AFTER
from transforms.records import Message, PubSubPosition

log = logging.getLogger("newsbeam")

#: A lease, in seconds: what a replay held that was killed comes again after it.
LEASE = 30.0
#: How many messages are held at once, those that are left out included.
MOST = 20_000
#: Leases are extended so often, in seconds.
_EXTEND_EVERY = LEASE / 3
#: How long to wait for what comes, in seconds.
_WAIT = 0.2
#: Responses that wait to be handed on.
_WAITING = 8


class PubSubPublisher(Publisher):
    """Publishes to a topic.

    Args:
        topic: The topic.

    Raises:
        ConfigurationError: It can't be published to.
    """

    def __init__(self, topic: PubSubTopic) -> None:
        check_topic(topic.settings, topic.project, topic.name)
        self.topic = topic

    def _carried(self, message: Message) -> Carried:
        content = Content(message.value, message.key, message.headers, message.timestamp)
        return to_attributes(content, ordering=self.topic.ordering)

    def refusal(self, message: Message) -> str | None:
        why = excess(self._carried(message))
        return None if why is None else "beyond what Pub/Sub takes"

    def publish(self, messages: Sequence[Message]) -> None:
        publish(self.topic, [Outgoing(self._carried(message), None) for message in messages])

    def close(self) -> None:
        close_channels()


class PubSubLetters(Letters):
    """Takes dead letters from a subscription.

    Args:
        settings: How to reach Pub/Sub.
        project: The project of the subscription.
        name: Its name.
        how: How they are taken.
        quiet: It is read to its end when nothing came for so long, in seconds.

    Raises:
        ConfigurationError: It can't be read.
    """

    def __init__(
        self,
        settings: PubSubSettings,
        project: str,
        name: str,
        how: Taking,
        quiet: float = END_AFTER,
    ) -> None:
        if how.from_start:
            raise ConfigurationError(
                f"--from_start: what was replayed is gone from subscription {name}; if it retains what "
                f"is acknowledged, `gcloud pubsub subscriptions seek {name} --time TIME` brings it back"
            )
        #: The full name of its topic, where that may be looked at.
        self.topic = check_subscription(settings, project, name).topic
        self._name, self._quiet = name, quiet
        self._path = subscription_path(project, name)
        self._calls = Calls(settings, self._path)
        self._responses: queue.Queue[Any] = queue.Queue(_WAITING)
        self._stream: Stream | None = None
        self._closed = threading.Event()
        self._began = 0.0
        self._settings = settings
        #: What is ours until it is acknowledged or given back: ack ids, by message ids.
        self._held: dict[str, str] = {}
        self.memory = f"subscription {name}"
        self.left = f"stay in subscription {name}"

    def into(self, to: Publisher, *, transactions: bool = True) -> Delivery:
        if isinstance(to, PubSubPublisher) and to.topic.path == self.topic:
            raise ConfigurationError(
                f"FROM is a subscription of TO, topic {to.topic.name}, and what is replayed would come "
                "again: name the topic that newsbeam reads news from"
            )
        return super().into(to)

    def batches(self) -> Generator[Sequence[Message]]:
        # What fails again while this goes on is for the next time: it could go on for ever.
        self._began = time.time()
        self._stream = stream = self._open()
        heard = extended = time.monotonic()
        while time.monotonic() - heard < self._quiet:
            try:
                received = self._responses.get(timeout=_WAIT)
            except queue.Empty:
                if stream.failure is not None:
                    raise stream.failure from None
                received = []
            fresh = self._fresh(received)
            if fresh:
                heard = time.monotonic()
            if time.monotonic() - extended > _EXTEND_EVERY:
                extended = time.monotonic()
                self._extend()
            yield fresh
        if len(self._held) >= MOST:
            log.warning(
                "%s messages of %s are held, all that can be at once: more may wait behind those that "
                "are left out; acknowledge some, or ask for less to be left out",
                f"{MOST:,}",
                self._path,
            )

    def _open(self) -> Stream:
        first = StreamingPullRequest(
            subscription=self._path,
            stream_ack_deadline_seconds=int(LEASE),
            client_id=uuid.uuid4().hex,
            max_outstanding_messages=MOST,
        )
        return Stream(self._settings, first, self._receive, lambda: None)

    def _receive(self, response: Any) -> None:
        """Hands on what came, in the stream's thread; nothing more is read while nobody takes it."""
        received = list(response.received_messages)
        while not self._closed.is_set():
            try:
                self._responses.put(received, timeout=_WAIT)
            except queue.Full:
                continue
            break
        else:
            self._calls.give_back([r.ack_id for r in received])
        if self._closed.is_set():
            self._give_back_waiting()

    def _give_back_waiting(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._calls.give_back([r.ack_id for r in self._responses.get_nowait()])

    def _fresh(self, received: Sequence[Any]) -> list[Message]:
        """What was there at the start, and has not come before: then the newest ack id counts."""
        fresh = [
            r.message
            for r in received
            if r.message.message_id not in self._held
            and r.message.publish_time.seconds <= self._began
        ]
        self._held |= {r.message.message_id: r.ack_id for r in received}
        return [message_of(message, self._name) for message in fresh]

    def _extend(self) -> None:
        try:
            self._calls.extend(list(self._held.values()), LEASE)
        except ERRORS as e:
            log.debug("extending leases of %s: %s", self._path, said(e))

    def taken(self, seen: Sequence[Message], sent: Sequence[Resent]) -> None:
        done = [_id_of(each.record) for each in sent]
        try:
            failed = self._calls.acknowledge([self._held[i] for i in done])
        except ERRORS as e:
            raise PubSubFailure(
                f"what was replayed can't be acknowledged to {self._path}, and comes again: {said(e)}"
            ) from e
        if failed:
            log.warning(
                "%s messages of %s were replayed, and come again: their leases had ended",
                f"{len(failed):,}",
                self._path,
            )
        for i in done:
            del self._held[i]

    def close(self) -> None:
        self._closed.set()
        if self._stream is not None:
            self._stream.stop()
        self._give_back_waiting()
        self._calls.give_back(list(self._held.values()))
        close_channels()


def _id_of(record: Message) -> str:
    assert isinstance(record.source, PubSubPosition)
    return record.source.message_id
