"""Reads one shard of a subscription: a stream, the leases of what it gave, and what becomes of them."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Any

from google.pubsub_v1 import StreamingPullRequest

from transforms.event_time import event_timestamp
from transforms.patience import LOG_INTERVAL
from transforms.pubsub.calls import Calls
from transforms.pubsub.dedupe import Dedupe
from transforms.pubsub.faults import ERRORS, said
from transforms.pubsub.holding import Held, Holding, Position
from transforms.pubsub.messages import message_of
from transforms.pubsub.stream import Stream
from transforms.pubsub.subscription import LEAST_EXACTLY_ONCE, Subscription
from transforms.pubsub.watermark import Watermark
from transforms.reading import Batch, Reader
from transforms.tally import TALLY

log = logging.getLogger("newsbeam.pubsub")

#: What `dedupe_attribute` calls Pub/Sub's own id.
MESSAGE_ID = "message_id"
#: A reader that nobody has asked for so long gives back what it holds for nobody, in seconds.
PARK_AFTER = 60.0
#: And one whose bundle takes so long: it may have failed, which nobody tells.
PARK_IN_BUNDLE_AFTER = 600.0
#: One that no bundle has asked for so long gives back what is not final yet, too: those bundles have
#: failed with their job, and the shard is read elsewhere.
ABANDONED_AFTER = 600.0
#: How long one that is closed waits for bundles that are over to become final, in seconds.
CLOSE_PATIENCE = 5.0
#: How long it then waits for what is on its way: until nothing comes, and at the most, in seconds.
LATE_AFTER, LATE_PATIENCE = 0.2, 2.0


class SubscriptionReader(Reader):
    """Reads one shard of a subscription.

    A message is handed out once while its lease lasts; it is acknowledged when its bundle is final, with
    the ack id of its newest delivery. What was handed out in a bundle that failed is handed out again to
    whoever resumes before it; what nobody resumes for is delivered again by the service when its lease
    is given up: when the reader closes, or after `max_lease`.

    Args:
        subscription: The subscription.
        shard: The name of the shard.
    """

    def __init__(self, subscription: Subscription, shard: str) -> None:
        self._subscription = subscription
        self._name = shard
        self._calls = Calls(subscription.settings, subscription.path)
        attribute = subscription.dedupe_attribute
        memory = subscription.dedupe_memory, subscription.dedupe_seconds
        self._holding = Holding(None if attribute is None else Dedupe(attribute, *memory))
        self._watermark = Watermark(subscription.max_delay, subscription.sample)
        self._changed = threading.Condition()
        self._stream: Stream | None = None
        self._token: object = None
        self._exactly_once = False
        self._asked = time.monotonic()
        self._in_bundle = False
        self._closed = threading.Event()
        # What has come since, by the ids of its acknowledgement.
        self._late: list[str] = []
        self._said_at = -LOG_INTERVAL
        self._keeper = threading.Thread(target=self._keep, name="newsbeam-pubsub-keep", daemon=True)
        self._keeper.start()

    # ---- for the reading step ----------------------------------------------------------------------

    def resume(self, position: Position | None) -> None:
        with self._changed:
            self._asked, self._in_bundle = time.monotonic(), True
            self._holding.resume(position)
            if self._stream is None and not self._closed.is_set():
                self._open()

    def poll(self, timeout: float, limit: int) -> Batch:
        with self._changed:
            self._asked = time.monotonic()
            self._changed.wait_for(lambda: self._holding.waiting or self._failure, timeout)
            if not self._holding.waiting and self._failure is not None:
                raise self._failure
            messages = self._holding.take(limit)
            left = self._holding.waiting
            watermark = self._watermark.value(
                time.monotonic(), time.time(), self._holding.oldest_waiting, len(self._holding) > 0
            )
            return Batch(messages, self._holding.position, watermark, live=not left)

    def at_end(self) -> bool:
        """Whether nothing came for `end_after` seconds, and all that came is acknowledged.

        That is all that can be said of an end: Pub/Sub doesn't tell what waits. What others hold,
        or gave back a moment ago, may come later.
        """
        end_after = self._subscription.end_after
        if end_after is None:
            return False
        with self._changed:
            if len(self._holding) or self.quiet() < end_after:
                return False
        if self._calls.answered():
            return True
        # Nothing comes since nobody is there.
        self._lost()
        return False

    def quiet(self) -> float:
        """For how long it has listened and nothing came, in seconds."""
        return self._watermark.quiet(time.monotonic())

    def commit(self, position: Position | None) -> Callable[[], None] | None:
        with self._changed:
            self._in_bundle = False
            if position is None:
                return None  # it has ended before it began
            numbers = self._holding.end(position)
            messages = self._holding.batches(numbers)
        if not messages:
            return None
        return lambda: self._final(numbers, messages)

    # ---- acknowledging -----------------------------------------------------------------------------

    def _final(self, numbers: Sequence[int], messages: Sequence[Held]) -> None:
        with self._changed:
            done = self._holding.final(numbers, messages, time.monotonic())
        self._acknowledge(done)
        with self._changed:
            self._holding.acknowledged(done)
            self._changed.notify_all()

    def _acknowledge(self, messages: Sequence[Held]) -> None:
        """Acknowledges. That it fails must not stay unsaid: runners are silent about it."""
        todo = list(messages)
        while todo:
            ids = [held.ack_id for held in todo]
            try:
                failed = self._calls.acknowledge(ids)
            except ERRORS as e:
                why = f"messages of {self._subscription.path} can't be acknowledged: {said(e)}"
                TALLY.uncommitted(self._name, why)
                self._say("%s; they will come again", why)
                return
            # Of those that have come again meanwhile, that delivery is the one to acknowledge. Others
            # will come again, and are acknowledged then.
            todo = [h for h, i in zip(todo, ids, strict=True) if i in failed and h.ack_id != i]
            if failed and not todo:
                log.debug("%d messages were delivered anew before they were final", len(failed))
        TALLY.committed(self._name)

    def _say(self, text: str, *args: object) -> None:
        if time.monotonic() - self._said_at >= LOG_INTERVAL:
            self._said_at = time.monotonic()
            log.warning(text, *args)

    # ---- the stream --------------------------------------------------------------------------------

    def _open(self) -> None:
        subscription, token = self._subscription, object()
        first = StreamingPullRequest(
            subscription=subscription.path,
            stream_ack_deadline_seconds=int(subscription.lease),
            client_id=uuid.uuid4().hex,
            # As the service counts it, for this stream alone; we count over streams.
            max_outstanding_messages=subscription.max_messages,
            max_outstanding_bytes=subscription.max_bytes,
        )
        self._watermark.listening(time.monotonic())
        self._token = token
        self._stream = Stream(
            subscription.settings, first, lambda r: self._receive(token, r), self._lost
        )

    @property
    def _failure(self) -> Exception | None:
        return None if self._stream is None else self._stream.failure

    def _receive(self, token: object, response: Any) -> None:
        received = list(response.received_messages)
        self._exactly_once = response.subscription_properties.exactly_once_delivery_enabled
        if self._exactly_once:
            # What has waited too long on its way is not ours any more.
            lost = self._extended([r.ack_id for r in received])
            received = [r for r in received if r.ack_id not in lost]
        now = time.monotonic()
        held = [self._held(r, now) for r in received]
        done = []
        with self._changed:
            ours = token is self._token
            if not ours and self._closed.is_set():
                self._late += [message.ack_id for message in held]
                self._changed.notify_all()
                return
            for message in held if ours else ():
                self._watermark.came(now, message.event_time)
                if self._holding.receive(message):
                    done.append(message)
            self._changed.notify_all()
        if not ours:
            self._calls.give_back([message.ack_id for message in held])
        if done:
            self._acknowledge(done)
        with self._changed:
            if self._has_room(token):
                return
            began = time.monotonic()
            self._changed.wait_for(lambda: self._has_room(token))
            if time.monotonic() - began > self._subscription.sample / 2:
                self._watermark.listening(time.monotonic())

    def _held(self, received: Any, now: float) -> Held:
        message, attribute = received.message, self._subscription.dedupe_attribute
        value = None
        if attribute is not None:
            value = message.attributes.get(attribute)
            value = message.message_id if attribute == MESSAGE_ID else value
        record = message_of(message, self._subscription.name, self._subscription.time_attribute)
        return Held(
            message_id=message.message_id,
            ack_id=received.ack_id,
            size=message.ByteSize(),
            since=now,
            event_time=event_timestamp(record).micros / 1_000_000,
            message=record,
            value=value,
        )

    def _has_room(self, token: object) -> bool:
        if token is not self._token:
            return True
        subscription, holding = self._subscription, self._holding
        return len(holding) < subscription.max_messages and holding.bytes < subscription.max_bytes

    def _lost(self) -> None:
        with self._changed:
            self._will_come_again()

    def _will_come_again(self) -> None:
        """What has come so far says nothing of what comes next, nor that there is no more."""
        self._watermark.listening(time.monotonic())
        self._changed.notify_all()

    # ---- leases ------------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Extends leases until the reader is closed."""
        while not self._closed.wait(self._subscription.lease / 3):
            try:
                self._extend()
                self._park()
            except Exception:  # the thread has to live
                log.exception("extending leases")

    def _extend(self) -> None:
        with self._changed:
            held, before = len(self._holding), time.monotonic() - self._subscription.max_lease
            idle = self._holding.lapse(before)
            ids = [held.ack_id for held in self._holding.leases()]
            if held > len(ids):
                self._will_come_again()
        if gone := held - len(ids):
            self._say(
                "%d messages of %s were held for %.0f s and not acknowledged: they will come again",
                gone,
                self._subscription.path,
                self._subscription.max_lease,
            )
        self._calls.give_back([held.ack_id for held in idle])
        if lost := self._extended(ids):
            with self._changed:
                doubles = self._holding.lose(lost)
                self._will_come_again()
            self._calls.give_back([held.ack_id for held in doubles])

    def _extended(self, ids: Sequence[str]) -> Collection[str]:
        """Extends leases; says which of them have ended before."""
        least = LEAST_EXACTLY_ONCE if self._exactly_once else 0.0
        try:
            return self._calls.extend(ids, max(self._subscription.lease, least))
        except ERRORS as e:
            log.debug("extending leases of %s: %s", self._subscription.path, said(e))
            return ()

    def _park(self) -> None:
        """Gives back what waits, if nobody asks: another process may have taken the shard over."""
        with self._changed:
            idle = time.monotonic() - self._asked
            if idle < (PARK_IN_BUNDLE_AFTER if self._in_bundle else PARK_AFTER):
                return
            stream, left = self._silence(), self._holding.give_back_waiting()
            if not self._in_bundle and idle >= ABANDONED_AFTER:
                left += self._holding.give_back_all()
        if stream is not None:
            stream.stop()
        self._calls.give_back([held.ack_id for held in left])

    def _silence(self) -> Stream | None:
        """Lets nothing more come."""
        stream, self._stream, self._token = self._stream, None, None
        self._watermark.deaf()
        self._changed.notify_all()
        return stream

    def close(self) -> None:
        """Acknowledges what becomes final yet, and gives the rest back, to be delivered anew at once."""
        with self._changed:
            # First of all: bundles that are alive may resume while this waits, and open another stream.
            self._closed.set()
            stream = self._silence()
            self._changed.wait_for(lambda: not self._holding.unfinished, CLOSE_PATIENCE)
            # What is on its way would be nobody's until its lease ends.
            until = time.monotonic() + LATE_PATIENCE
            while stream is not None and self._changed.wait(LATE_AFTER):
                if time.monotonic() >= until:
                    break
            left = [held.ack_id for held in self._holding.give_back_all()]
        if stream is not None:
            stream.stop()
        with self._changed:
            left += self._late
        self._calls.give_back(left)
