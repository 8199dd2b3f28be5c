"""Publishing a bundle's messages: all at once, in few requests, and confirmed when it returns.

The client library's publisher gathers messages over time, for programs that have them one by one. A
bundle has all of its messages together: they go out in requests as large as may be, at once, and what
fails is known, and sent again in its order. Nothing is left in a queue, no ordering key is left paused.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from google.api_core.exceptions import InvalidArgument, from_grpc_error
from google.pubsub_v1 import PublishRequest, PubsubMessage
from grpc import RpcError

from transforms.pubsub.attributes import size_of
from transforms.pubsub.encode import (
    MessageRefused,
    Outgoing,
    PubSubTopic,
    buried,
    cut_further,
)
from transforms.pubsub.faults import ERRORS, Patience, PubSubFailure, heals, said
from transforms.records import CategorizedItem, DeadLetter

#: What a request may hold: messages, and bytes.
MOST_MESSAGES, MOST_BYTES = 1000, 9_000_000
#: Requests under way at once: each of one ordering key is one of its own.
UNDER_WAY = 32
#: How long a request may take, in seconds.
TIMEOUT = 60.0
#: What protobuf adds to a message and to each of its attributes, in bytes, at most.
_OVERHEAD = 16

_Message = PubsubMessage.pb()
_Request = PublishRequest.pb()


def publish(topic: PubSubTopic, messages: Sequence[Outgoing]) -> list[DeadLetter]:
    """Publishes messages, those of an ordering key in their order; all are confirmed on return.

    Returns:
        The dead letters of items that Pub/Sub does not take.

    Raises:
        PubSubFailure: Pub/Sub refuses: there is no such topic, no permission.
    """
    letters: list[DeadLetter] = []
    chains = collections.deque(_chains(messages))
    waiting: Patience | None = None
    while chains:
        # Of each ordering key, a request waits for the one before.
        now = [chains.popleft() for _ in range(min(UNDER_WAY, len(chains)))]
        trouble: Exception | None = None
        for chain, error in zip(now, _send(topic, [chain[0] for chain in now]), strict=True):
            if error is None:
                chain.popleft()
            elif isinstance(error, InvalidArgument):
                letters += _mend(topic, chain, error)
            elif heals(error):
                trouble = error
            else:
                raise PubSubFailure(
                    f"can't publish to topic {topic.path}: {said(error)}"
                ) from error
            if chain:
                chains.append(chain)
        if trouble is not None:
            waiting = waiting or Patience(f"publishing to topic {topic.path}")
            waiting.wait(trouble)
        else:
            waiting = None
    return letters


Request = list[Outgoing]


def _chains(messages: Iterable[Outgoing]) -> Iterator[collections.deque[Request]]:
    """Requests that can be under way together; those of a chain one after the other."""
    by_key: dict[str, list[Outgoing]] = {}
    for message in messages:
        by_key.setdefault(message.carried.ordering_key, []).append(message)
    for key, theirs in by_key.items():
        requests = list(_requests(theirs))
        if key:
            yield collections.deque(requests)
        else:
            yield from (collections.deque([request]) for request in requests)


def _requests(messages: Iterable[Outgoing]) -> Iterator[Request]:
    request: Request = []
    size = 0
    for message in messages:
        added = size_of(message.carried) + _OVERHEAD * (2 + len(message.carried.attributes))
        if request and (len(request) >= MOST_MESSAGES or size + added > MOST_BYTES):
            yield request
            request, size = [], 0
        request.append(message)
        size += added
    if request:
        yield request


def _send(topic: PubSubTopic, requests: Sequence[Request]) -> list[Exception | None]:
    """Sends requests at once, and waits for all; gives what went wrong with each."""
    try:
        call = topic.settings.publisher().transport.publish
    except ERRORS as e:
        return [e] * len(requests)
    metadata = [("x-goog-request-params", f"topic={topic.path}")]
    futures = [
        call.future(_request(topic, request), timeout=TIMEOUT, metadata=metadata)
        for request in requests
    ]
    return [_error(future) for future in futures]


def _error(future: Any) -> Exception | None:
    try:
        future.result()
        return None
    except RpcError as e:
        return from_grpc_error(e)
    except ERRORS as e:
        return e


def _request(topic: PubSubTopic, messages: Request) -> Any:
    return _Request(
        topic=topic.path,
        messages=[
            _Message(
                data=carried.data,
                attributes=carried.attributes,
                ordering_key=carried.ordering_key,
            )
            for carried, _ in messages
        ],
    )


def _mend(
    topic: PubSubTopic, chain: collections.deque[Request], error: Exception
) -> list[DeadLetter]:
    """Does something about a request that Pub/Sub refuses: one of its messages is at fault."""
    request = chain.popleft()
    if len(request) > 1:
        half = len(request) // 2
        chain.extendleft([request[half:], request[:half]])
        return []
    [message] = request
    if isinstance(message.outcome, CategorizedItem):
        why = f"topic {topic.name} refuses its result: {said(error)}"
        return [buried(message.outcome, MessageRefused(why))]
    smaller = None if message.outcome is None else cut_further(message.carried)
    if smaller is None:
        raise PubSubFailure(f"can't publish to topic {topic.path}: {said(error)}") from error
    chain.appendleft([message._replace(carried=smaller)])
    return []
