"""How Pub/Sub is reached: one channel a process, for the service or for an emulator of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import grpc
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from transforms.per_process import PerProcess

#: Where an emulator listens, if there is one: `HOST:PORT`.
EMULATOR = "PUBSUB_EMULATOR_HOST"
_DEFAULT_ENDPOINT = "pubsub.googleapis.com:443"
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
#: An emulator is near: the proxies of the environment are for what is far.
_DIRECT = [("grpc.enable_http_proxy", 0)]
#: A connection that is gone without a word is noticed so, in milliseconds.
_KEEPALIVE = [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 20_000)]


@dataclass(frozen=True)
class PubSubSettings:
    """How to reach Pub/Sub.

    Attributes:
        emulator: Where an emulator listens, as `HOST:PORT`; None is the service itself, with the
            credentials of the environment (application default credentials).
        endpoint: A regional endpoint, as `us-east1-pubsub.googleapis.com:443`. Subscriptions of
            exactly-once delivery keep their promise for readers of one region only, and ordering keys
            theirs for publishers of one.
    """

    emulator: str | None = None
    endpoint: str | None = None

    @classmethod
    def from_environment(cls, endpoint: str | None = None) -> PubSubSettings:
        """The settings that PUBSUB_EMULATOR_HOST asks for, taken now: workers need not have it."""
        return cls(os.environ.get(EMULATOR) or None, endpoint)

    def subscriber(self) -> SubscriberClient:
        """The client of this process for subscriptions."""
        return _subscribers.get(
            self,
            lambda: SubscriberClient(transport=SubscriberGrpcTransport(channel=_channel(self))),
        )

    def publisher(self) -> PublisherClient:
        """The client of this process for topics."""
        return _publishers.get(
            self, lambda: PublisherClient(transport=PublisherGrpcTransport(channel=_channel(self)))
        )


_channels: PerProcess[PubSubSettings, Any] = PerProcess()
_subscribers: PerProcess[PubSubSettings, SubscriberClient] = PerProcess()
_publishers: PerProcess[PubSubSettings, PublisherClient] = PerProcess()


def _channel(settings: PubSubSettings) -> Any:
    return _channels.get(settings, lambda: _new_channel(settings))


def _new_channel(settings: PubSubSettings) -> Any:
    if settings.emulator is not None:
        # No keepalive: servers of Go that are not told to expect it hang up.
        return grpc.insecure_channel(settings.emulator, options=[*_UNLIMITED, *_DIRECT])
    return SubscriberGrpcTransport.create_channel(
        settings.endpoint or _DEFAULT_ENDPOINT, options=[*_UNLIMITED, *_KEEPALIVE]
    )


def close_channels() -> None:
    """Closes all connections of this process: their next use makes new ones."""
    _subscribers.clear()
    _publishers.clear()
    for channel in _channels.clear():
        channel.close()
