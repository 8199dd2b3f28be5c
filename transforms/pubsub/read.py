"""Reads news from Pub/Sub: `PubSubSource`, on our own splittable DoFn."""

from __future__ import annotations

import atexit
import copy
import dataclasses
import uuid
from typing import Any

import apache_beam as beam

from transforms.per_process import PerProcess
from transforms.pubsub.client import PubSubSettings
from transforms.pubsub.reader import SubscriptionReader
from transforms.pubsub.subscription import END_AFTER, Subscription
from transforms.reading import ReadUnbounded, Source
from transforms.records import Message


class PubSubSource(Source):
    """A subscription of Pub/Sub.

    Messages are acknowledged when what was made of them is durable: every message is processed at least
    once. What has been received and is not final when the readers are closed is given back.

    Messages of one ordering key stay in order within one reader, from the service to the sink. Several
    readers (shards, processes) share a subscription with ordering keys as the service likes: it keeps a
    key with one reader while it has some of it, so there order is kept; where a key moves on to another
    reader, the first may still be at work on what came before. A message that comes again comes with all
    later ones of its key.

    Args:
        settings: How to reach Pub/Sub.
        project: Its project.
        name: Its name, without the project.
        options: See `Subscription`: `shard_count`, `max_messages`, `max_bytes`, `lease`, `max_lease`,
            `time_attribute`, `dedupe_attribute`, `dedupe_memory`, `dedupe_seconds`, `max_delay`,
            `sample`, `end_after`.

    Raises:
        ConfigurationError: A setting can't be.
    """

    def __init__(self, settings: PubSubSettings, project: str, name: str, **options: Any) -> None:
        run = uuid.uuid4().hex
        self.subscription = Subscription(settings, project, name, run=run, **options)

    def shards(self) -> list[str]:
        return self.subscription.shards()

    def reader(self, shard: str) -> SubscriptionReader:
        key = self.subscription, shard
        return _readers.get(key, lambda: SubscriptionReader(*key))

    def ending(self, after: float = END_AFTER) -> PubSubSource:
        """The same source, ending when nothing came for so many seconds and all is acknowledged."""
        source = copy.copy(self)
        source.subscription = dataclasses.replace(self.subscription, end_after=after)
        return source


class ReadFromPubSub(beam.PTransform):
    """Reads Pub/Sub messages as `Message`s, on any runner: an unbounded PCollection."""

    def __init__(self, source: PubSubSource) -> None:
        super().__init__()
        self._source = source

    def expand(self, root: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        return root | ReadUnbounded(self._source)


_readers: PerProcess[tuple[Subscription, str], SubscriptionReader] = PerProcess()


def close_readers() -> None:
    """Closes all readers of this process: for when a pipeline has ended.

    What is final is acknowledged, everything else is given back.
    """
    for reader in _readers.clear():
        reader.close()


# A worker that ends gives back what it holds; without this its leases would have to end first.
atexit.register(close_readers)
