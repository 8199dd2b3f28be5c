"""A reader whose acknowledgements fail says so, and one whose stream fails ends the pipeline."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.pubsub_v1 import PubsubMessage, ReceivedMessage, StreamingPullResponse

from tests.servers.processes import wait_until
from tests.unit.transforms.pubsub.stubs import Client, Settings, exactly_once_error
from transforms.failures import forget_failures
from transforms.pubsub import faults
from transforms.pubsub.faults import PubSubFailure
from transforms.pubsub.reader import SubscriptionReader
from transforms.pubsub.subscription import Subscription
from transforms.tally import TALLY


class Stream:
    """A stream that gives responses, and then waits until it is cancelled, or fails."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self._left = [
            StreamingPullResponse(
                received_messages=[
                    ReceivedMessage(
                        ack_id=f"m{n}:1", message=PubsubMessage(data=b"x", message_id=f"m{n}")
                    )
                ]
            )
            for n in range(count)
        ]
        self._error = error
        self._cancelled = False

    def __iter__(self) -> Iterator[StreamingPullResponse]:
        while self._left:
            yield self._left.pop(0)
        if self._error is not None:
            raise self._error
        wait_until(lambda: self._cancelled, "an end")

    def cancel(self) -> None:
        self._cancelled = True


@pytest.fixture
def readers() -> Iterator[Any]:
    made: list[SubscriptionReader] = []

    def make(client: Client, **options: Any) -> SubscriptionReader:
        settings: Any = Settings(client)
        settings.emulator = "there"
        subscription = Subscription(settings, "p", "news-sub", **options)
        reader = SubscriptionReader(subscription, "news-sub-0")
        made.append(reader)
        reader.resume(None)
        return reader

    yield make
    for reader in made:
        reader.close()
    forget_failures()


def fails(error: Exception) -> Any:
    def call(**_: Any) -> Any:
        raise error

    return call


def test_what_can_not_be_acknowledged_is_said_once_and_given_back(
    readers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(
        streaming_pull=lambda **_: Stream(3), acknowledge=fails(exceptions.PermissionDenied("no"))
    )
    reader = readers(client)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            batch = reader.poll(60, 1)
            done = reader.commit(batch.position)
            done()
            reader.resume(batch.position)
    why = "messages of projects/p/subscriptions/news-sub can't be acknowledged: no permission (no)"
    assert [r.getMessage() for r in caplog.records] == [f"{why}; they will come again"]
    assert TALLY.snapshot().uncommitted == why


def test_a_stream_that_is_refused_ends_it_once_all_that_came_was_read(readers: Any) -> None:
    denied = exceptions.PermissionDenied("no")
    reader = readers(Client(streaming_pull=lambda **_: Stream(2, denied)))
    assert [len(reader.poll(60, 1).messages) for _ in range(2)] == [1, 1]
    with pytest.raises(PubSubFailure, match=r"pulling from .*/news-sub: no permission"):
        reader.poll(60, 1)


def test_a_stream_that_is_away_is_opened_again(
    readers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults.Patience, "wait", lambda *_: None)
    away = exceptions.ServiceUnavailable("away")
    streams = [Stream(1, away), Stream(0, away), Stream(0, away), Stream(0, away)]
    client = Client(streaming_pull=lambda **_: streams.pop(0) if streams else Stream(1))
    reader = readers(client)
    assert reader.poll(60, 1).messages
    # The same message, whose bundle is alive.
    wait_until(lambda: not streams and len(client.calls) >= 5, "another stream")
    assert reader.poll(0, 1).messages == []


@pytest.mark.parametrize("how", ["too long", "lost"])
def test_what_is_given_up_will_come_again_and_the_watermark_waits_for_it(
    readers: Any, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: dict[str, Any] = {"streaming_pull": lambda **_: Stream(1)}
    if how == "lost":
        gone = exactly_once_error({"m0:1": "PERMANENT_FAILURE_INVALID_ACK_ID"})
        answers["modify_ack_deadline"] = fails(gone)
    options = {"lease": 1.0, "max_lease": 1.0 if how == "too long" else 600.0}
    reader = readers(Client(**answers), **options)
    began_anew: list[int] = []
    # From then on, it knows nothing for as long as its sample is.
    monkeypatch.setattr(
        reader._watermark, "listening", lambda at: began_anew.append(len(reader._holding))
    )
    wait_until(lambda: began_anew, "an end of its lease")
    assert began_anew[0] == 0


def test_a_bundle_that_resumes_while_the_reader_closes_opens_nothing(readers: Any) -> None:
    reader = readers(Client(streaming_pull=lambda **_: Stream(1)))
    batch = reader.poll(60, 1)
    done = reader.commit(batch.position)
    closing = threading.Thread(target=reader.close)
    closing.start()
    wait_until(lambda: reader._stream is None, "silence")
    reader.resume(batch.position)
    assert reader._stream is None
    done()
    closing.join()
