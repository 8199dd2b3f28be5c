"""Stand-ins for clients: they note what they are asked, and answer or fail as they are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.api_core import exceptions
from google.rpc.error_details_pb2 import ErrorInfo


class Client:
    """Any client: each call goes to a function of its name, or gives None."""

    def __init__(self, **answers: Callable[..., Any]) -> None:
        self._answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**given: Any) -> Any:
            self.calls.append((name, given))
            answer = self._answers.get(name)
            return None if answer is None else answer(**given)

        return call


class Settings:
    """Settings whose clients are stand-ins."""

    emulator = None

    def __init__(self, subscriber: Any = None, publisher: Any = None) -> None:
        self._subscriber, self._publisher = subscriber, publisher

    def subscriber(self) -> Any:
        return self._subscriber

    def publisher(self) -> Any:
        return self._publisher


def exactly_once_error(reasons: dict[str, str]) -> exceptions.GoogleAPICallError:
    """What a subscription of exactly-once delivery says of ack ids."""
    info = ErrorInfo(
        reason="EXACTLY_ONCE_ACKID_FAILURE", domain="pubsub.googleapis.com", metadata=reasons
    )
    return exceptions.FailedPrecondition("some ack ids are invalid", error_info=info)
