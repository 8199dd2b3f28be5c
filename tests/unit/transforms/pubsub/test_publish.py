"""Publishing: which requests, in which order, and what becomes of those that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions

from tests.unit.transforms.pubsub.stubs import Settings
from tests.unit.transforms.pubsub.test_encode import item, letter
from transforms.pubsub import faults
from transforms.pubsub.attributes import Carried
from transforms.pubsub.encode import Outgoing, PubSubTopic
from transforms.pubsub.publish import MOST_BYTES, MOST_MESSAGES, publish
from transforms.records import DeadLetter, Outcome


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults.Patience, "wait", lambda *_: None)


class Topic:
    """A topic that takes requests, or fails as told.

    Args:
        refuse: Gives the error of a request, by the data of its messages; None takes it.
    """

    def __init__(self, refuse: Callable[[list[bytes]], Exception | None] = lambda _: None) -> None:
        self.requests: list[list[bytes]] = []
        self.taken: list[bytes] = []
        self.sizes: list[int] = []
        self._refuse = refuse
        self.transport = self
        self.publish = self
        self.topic = PubSubTopic(Settings(publisher=self), "p", "out")  # type: ignore[arg-type]

    def future(self, request: Any, **_: Any) -> Any:
        data = [message.data for message in request.messages]
        assert request.topic == "projects/p/topics/out"
        assert len({message.ordering_key for message in request.messages}) == 1
        self.requests.append(data)
        self.sizes.append(request.ByteSize())
        return _Future(self, data, self._refuse(data))

    def take(self, data: list[bytes]) -> None:
        self.taken += data


class _Future:
    def __init__(self, topic: Topic, data: list[bytes], error: Exception | None) -> None:
        self._topic, self._data, self._error = topic, data, error

    def result(self) -> None:
        if self._error is not None:
            raise self._error
        self._topic.take(self._data)


def messages(
    count: int, size: int = 1, keys: str = "", of: Outcome | None = None
) -> list[Outgoing]:
    def key(n: int) -> str:
        return keys[n % len(keys)] if keys else ""

    return [
        Outgoing(Carried(b"%d" % n + b"x" * (size - 1), {}, key(n)), of or item())
        for n in range(count)
    ]


def data(some: list[Outgoing]) -> list[bytes]:
    return [one.carried.data for one in some]


def test_messages_are_few_requests() -> None:
    some = messages(2 * MOST_MESSAGES + 1)
    topic = Topic()
    assert publish(topic.topic, some) == []
    assert [len(r) for r in topic.requests] == [MOST_MESSAGES, MOST_MESSAGES, 1]
    assert topic.taken == data(some)
    assert publish(topic.topic, []) == []
    assert len(topic.requests) == 3


def test_no_request_is_too_large() -> None:
    topic = Topic()
    publish(topic.topic, messages(25, size=1_000_000))
    assert len(topic.taken) == 25
    assert max(topic.sizes) < 10_000_000
    assert len(topic.requests) == -(-25 // (MOST_BYTES // 1_000_100))


def test_what_heals_is_sent_again() -> None:
    errors: list[Exception | None] = [
        exceptions.ServiceUnavailable("x"),
        exceptions.ResourceExhausted("x"),
        exceptions.DeadlineExceeded("x"),
    ]
    topic = Topic(lambda _: errors.pop(0) if errors else None)
    some = messages(3)
    assert publish(topic.topic, some) == []
    assert topic.taken == data(some)
    assert len(topic.requests) == 4


def test_the_order_of_a_key_is_kept_whatever_fails() -> None:
    failed: list[bytes] = []

    def refuse(request: list[bytes]) -> Exception | None:
        # Each request fails once.
        if request[0] in failed:
            return None
        failed.append(request[0])
        return exceptions.ServiceUnavailable("x")

    topic = Topic(refuse)
    some = messages(4 * MOST_MESSAGES, keys="ab")
    assert publish(topic.topic, some) == []
    for key in "ab":
        expected = [m.carried.data for m in some if m.carried.ordering_key == key]
        theirs = set(expected)
        assert [d for d in topic.taken if d in theirs] == expected


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (exceptions.NotFound("Topic not found"), "it does not exist"),
        (exceptions.PermissionDenied("denied"), "no permission"),
    ],
)
def test_what_does_not_heal_ends_it_with_a_line(error: Exception, said: str) -> None:
    with pytest.raises(faults.PubSubFailure, match=rf"can't publish to topic .*/out: {said}"):
        publish(Topic(lambda _: error).topic, messages(3))


def _refuse_five(request: list[bytes]) -> Exception | None:
    return exceptions.InvalidArgument("too odd") if b"5" in request else None


@pytest.mark.parametrize("keys", ["", "ab"])
def test_an_item_that_is_refused_is_a_dead_letter_and_the_others_are_published(keys: str) -> None:
    topic = Topic(_refuse_five)
    some = messages(20, keys=keys)
    [dead] = publish(topic.topic, some)
    assert isinstance(dead, DeadLetter)
    assert dead.error_type == "MessageRefused"
    assert "topic out refuses its result: too odd" in dead.error
    assert sorted(topic.taken) == sorted(set(data(some)) - {b"5"})


def test_a_dead_letter_that_is_refused_is_cut_and_ends_it_when_that_is_of_no_use() -> None:
    def refuse(request: list[bytes]) -> Exception | None:
        return exceptions.InvalidArgument("too large") if len(request[0]) > 70_000 else None

    topic = Topic(refuse)
    assert publish(topic.topic, messages(1, 100_000, of=letter(b"x"))) == []
    assert len(topic.taken[0]) == 64 * 1024
    with pytest.raises(faults.PubSubFailure, match="too odd"):
        publish(
            Topic(lambda _: exceptions.InvalidArgument("too odd")).topic,
            messages(1, 100_000, of=letter(b"x")),
        )
