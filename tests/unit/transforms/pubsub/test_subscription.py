"""The settings of a subscription, and how much a reader has to hold."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from google.pubsub_v1 import PubsubMessage

from transforms.errors import ConfigurationError
from transforms.pubsub.client import PubSubSettings
from transforms.pubsub.messages import message_of, milliseconds
from transforms.pubsub.read import PubSubSource
from transforms.pubsub.subscription import Subscription, outstanding
from transforms.tally import TALLY

SERVICE = PubSubSettings()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shard_count": 0}, "shard_count is 0: it has to be 1 or more"),
        ({"max_messages": 0}, "max_messages is 0"),
        ({"max_bytes": -1}, "max_bytes is -1"),
        ({"lease": 5}, "lease is 5 s: Pub/Sub grants 10 to 600 s"),
        ({"lease": 601}, "lease is 601 s"),
        (
            {"lease": 60, "max_lease": 30},
            "max_lease is 30 s: it can't be less than the lease, 60 s",
        ),
    ],
)
def test_settings_that_can_not_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Subscription(SERVICE, "p", "news", **options)


def test_a_source_survives_pickling_and_sources_are_read_apart() -> None:
    source = PubSubSource(SERVICE, "p", "news", shard_count=3)
    again = pickle.loads(pickle.dumps(source))
    assert again.subscription == source.subscription
    assert again.shards() == ["news-0", "news-1", "news-2"]
    assert PubSubSource(SERVICE, "p", "news").subscription != source.subscription
    assert source.ending(3).subscription.end_after == 3
    assert source.subscription.end_after is None


def test_how_much_a_reader_has_to_hold() -> None:
    assert outstanding(1000, 10) == 20_000
    assert outstanding(100, 10, duration=2) == 2400
    assert outstanding(1000, 0) == 1


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-05-01T10:00:00Z", 1714557600000),
        ("2024-05-01T10:00:00.123456Z", 1714557600123),
        ("2024-05-01T12:00:00+02:00", 1714557600000),
        ("2024-05-01T10:00:00", 1714557600000),
        (" 1714557600000 ", 1714557600000),
        ("0", 0),
        ("253402300800000", None),
        ("1" * 30, None),
        ("1900-01-01T00:00:00Z", None),
        ("-5", None),
        ("٣", None),
        ("soon", None),
        ("", None),
    ],
)
def test_times_of_attributes(text: str, time: int | None) -> None:
    assert milliseconds(text) == time


@pytest.mark.parametrize(
    ("attribute", "unreadable"), [(None, 0), ("at", 0), ("when", 1), ("a typing error", 1)]
)
def test_messages_without_the_time_that_was_asked_for_are_counted(
    attribute: str | None, unreadable: int
) -> None:
    TALLY.reset()
    received = PubsubMessage.pb(
        PubsubMessage(data=b"x", attributes={"at": "1714557600000", "when": "soon"})
    )
    message = message_of(received, "news", attribute)
    assert message.timestamp == (1714557600000 if attribute == "at" else 0)
    assert TALLY.snapshot().unreadable_times == unreadable
