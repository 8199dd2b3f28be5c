"""Pub/Sub by Beam's own connector, which Dataflow runs by itself: `ReadNatively`, `WriteNatively`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage, ReadFromPubSub, WriteToPubSub
from google.pubsub_v1 import types

from transforms.pubsub.encode import Outgoing, PubSubTopic, encode
from transforms.pubsub.messages import message_of
from transforms.pubsub.subscription import Subscription
from transforms.records import Message, Outcome
from transforms.writing import Share


class ReadNatively(beam.PTransform):
    """Reads messages by Beam's connector: Dataflow acknowledges them, and moves the watermark.

    Args:
        subscription: The subscription, of which it takes the name and the attributes of time and
            doubles; what is left to the service can't be set.
    """

    def __init__(self, subscription: Subscription) -> None:
        super().__init__()
        self._subscription = subscription

    def expand(self, root: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        of = self._subscription
        # Without attributes they would vanish; Pub/Sub's own id is what Dataflow tells doubles by.
        label = None if of.dedupe_attribute == "message_id" else of.dedupe_attribute
        read = ReadFromPubSub(
            subscription=of.path,
            id_label=label,
            timestamp_attribute=of.time_attribute,
            with_attributes=True,
        )
        to_message = beam.Map(_to_message, of.name, of.time_attribute).with_output_types(Message)
        return root | "Read" >> read | "To message" >> to_message


def _to_message(received: PubsubMessage, subscription: str, time_attribute: str | None) -> Message:
    again = types.PubsubMessage(
        data=received.data,
        attributes=received.attributes,
        message_id=received.message_id,
        publish_time=received.publish_time,
        ordering_key=received.ordering_key,
    )
    return message_of(types.PubsubMessage.pb(again), subscription, time_attribute)


class WriteNatively(beam.PTransform):
    """Publishes a share of outcomes by Beam's connector, and gives the rest.

    Ordering keys don't exist there.

    Args:
        topic: The topic.
        share: Which outcomes.
    """

    def __init__(self, topic: PubSubTopic, share: Share) -> None:
        super().__init__()
        self._topic = topic
        self._share = share

    def expand(self, outcomes: beam.PCollection[Outcome]) -> beam.PCollection[Outcome]:
        encoded = outcomes | "Encode" >> beam.ParDo(_Encode(self._topic, self._share)).with_outputs(
            _Encode.PUBLISH, main="rest"
        )
        publish = WriteToPubSub(self._topic.path, with_attributes=True)
        _ = encoded[_Encode.PUBLISH] | "Publish" >> publish
        rest: beam.PCollection[Outcome] = encoded["rest"]
        return rest


class _Encode(beam.DoFn):
    PUBLISH = "publish"

    def __init__(self, topic: PubSubTopic, share: Share) -> None:
        super().__init__()
        self._topic = topic
        self._share = share

    def process(self, element: Outcome) -> Iterator[Any]:
        if not self._share.takes(element):
            yield element
            return
        message = encode(element, self._topic)
        if not isinstance(message, Outgoing):
            yield message
            return
        data, attributes, _ = message.carried
        yield beam.pvalue.TaggedOutput(self.PUBLISH, PubsubMessage(data, dict(attributes)))
