"""A streaming pull that goes on: opened again whenever the service ends it, read while there is room.

The client library has one of its own, `subscribe()`. Ours is for what that can't do: it hands out one
message of an ordering key at a time, and the next when that is acknowledged, which for us is after a
bundle, or a checkpoint; it loses acknowledgements when it closes; and a message that comes again while
it is worked on is handed out twice, each time with an ack id of its own.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from google.pubsub_v1 import StreamingPullRequest, StreamingPullResponse

from transforms.patience import FIRST_DELAY
from transforms.pubsub.client import PubSubSettings
from transforms.pubsub.faults import ERRORS, Patience, PubSubFailure, heals, said

#: How often the service hears of us while nothing comes, in seconds; otherwise it hangs up.
HEARTBEAT = 30.0
#: A stream that has lasted so long has not failed: the service ends streams now and then, in seconds.
REGULAR_END = 60.0


class Stream:
    """Pulls from a subscription in a thread, until it is stopped.

    Args:
        settings: How to reach Pub/Sub.
        first: The first request: subscription, deadline, and how much may be outstanding.
        receive: Takes what comes, in that thread; it may wait, and then nothing is read.
        lost: Is called when the service can't be reached, before it is tried again.
    """

    def __init__(
        self,
        settings: PubSubSettings,
        first: StreamingPullRequest,
        receive: Callable[[Any], None],
        lost: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._first = first
        self._receive = receive
        self._lost = lost
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._call: Any = None
        #: Why it has ended, if that was not for `stop`.
        self.failure: PubSubFailure | None = None
        self._thread = threading.Thread(target=self._run, name="newsbeam-pubsub-pull", daemon=True)
        self._thread.start()

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Has it end; what comes yet is not received."""
        self._stopped.set()
        with self._lock:
            if self._call is not None:
                self._call.cancel()

    def _run(self) -> None:
        what = f"pulling from {self._first.subscription}"
        waiting: Patience | None = None
        while not self.stopped:
            opened, came = time.monotonic(), False
            ended: queue.SimpleQueue[None] = queue.SimpleQueue()
            error: Exception = ConnectionError("the stream has ended")
            try:
                for response in self._open(ended):
                    came = True
                    self._receive(StreamingPullResponse.pb(response))
                    if self.stopped:
                        return
            except Exception as e:  # whatever it is: there is nobody else to tell it
                error = e
            finally:
                ended.put(None)
            if self.stopped:
                return
            if not heals(error):
                self._fail(what, error)
                return
            if came or time.monotonic() - opened > REGULAR_END:
                waiting = None
                self._stopped.wait(FIRST_DELAY)
                continue
            self._lost()
            waiting = waiting or Patience(what, sleep=self._stopped.wait)
            try:
                waiting.wait(error)
            except ERRORS as e:  # it drains, and nobody has answered
                self._fail(what, e)
                return

    def _fail(self, what: str, error: Exception) -> None:
        self.failure = PubSubFailure(f"{what}: {said(error)}")
        self._lost()

    def _open(self, requests: queue.SimpleQueue[None]) -> Any:
        call = self._settings.subscriber().streaming_pull(
            requests=self._request(requests), retry=None, timeout=None
        )
        with self._lock:
            self._call = call
            if self.stopped:
                call.cancel()
        return call

    def _request(self, ended: queue.SimpleQueue[None]) -> Iterator[StreamingPullRequest]:
        yield self._first
        while True:
            try:
                ended.get(timeout=HEARTBEAT)
                return
            except queue.Empty:
                yield StreamingPullRequest()
