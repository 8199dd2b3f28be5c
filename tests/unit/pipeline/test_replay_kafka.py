"""Where a replay of topics begins, and who writes what it replays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import MessageSizeTooLargeError

from pipeline.ends.kafka.clusters import Cluster
from pipeline.ends.kafka.replay import KafkaLetters, KafkaPublisher
from pipeline.ends.letters import Taking
from transforms.kafka.encode import KafkaTopic, Outgoing
from transforms.kafka.faults import KafkaFailure
from transforms.kafka.producers import to_try_again
from transforms.kafka.settings import KafkaSettings
from transforms.records import Message

TP = TopicPartition("dead", 0)


class Offsets:
    """What brokers would say."""

    def __init__(self, first: int, stands: int | None) -> None:
        self._first, self._stands = first, stands

    def beginning(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self._first)

    def committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {} if self._stands is None else dict.fromkeys(partitions, self._stands)


def letters(monkeypatch: pytest.MonkeyPatch, offsets: Any, how: Taking = Taking()) -> KafkaLetters:
    """Dead letters of a topic of 100 records, whose brokers are not there."""
    module = "pipeline.ends.kafka.replay"
    monkeypatch.setattr(f"{module}.OffsetsClient", lambda *args: offsets)
    monkeypatch.setattr(f"{module}.check_source", lambda source, **_: source.ending_at({TP: 100}))
    return KafkaLetters(KafkaSettings("here:1", {}), ["dead"], "g", Cluster("one"), how)


@pytest.mark.parametrize(
    ("first", "stands", "begins", "said"),
    [
        (0, None, 0, ""),
        (0, 40, 40, ""),
        (0, 100, 100, ""),
        (10, None, 10, ""),
        (30, 10, 30, "20 records were deleted by the topic's retention"),
        (0, 101, 0, "was made anew"),
    ],
    ids=["nothing yet", "in the middle", "at the end", "some gone", "some lost", "another topic"],
)
def test_it_begins_where_the_group_stands(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    first: int,
    stands: int | None,
    begins: int,
    said: str,
) -> None:
    assert letters(monkeypatch, Offsets(first, stands))._positions() == {TP: begins}
    assert said in caplog.text
    assert bool(said) == bool(caplog.text)


def test_or_at_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    how = Taking(from_start=True)
    assert letters(monkeypatch, Offsets(10, 40), how)._positions() == {TP: 10}


def publisher(servers: str, cluster: str, **config: str) -> KafkaPublisher:
    """Writes to a topic whose brokers are not there."""
    made = object.__new__(KafkaPublisher)
    made.cluster = Cluster(cluster)
    made.topic = KafkaTopic(KafkaSettings(servers, config), "news")
    return made


@pytest.mark.parametrize(
    ("to", "transactions", "once"),
    [
        (publisher("here:1", "one"), True, True),
        (publisher("there:1", "one"), True, True),
        (publisher("there:1", "other"), True, False),
        (publisher("here:1", "one", compression_type="gzip"), True, False),
        (publisher("here:1", "one"), False, False),
    ],
    ids=["same servers", "same cluster", "another cluster", "other settings", "as asked"],
)
def test_of_one_cluster_it_is_exactly_once(
    monkeypatch: pytest.MonkeyPatch, to: KafkaPublisher, transactions: bool, once: bool
) -> None:
    holds = letters(monkeypatch, Offsets(0, 0)).into(to, transactions=transactions)
    assert holds.once == once


def test_what_a_topic_does_not_take_is_told_before(monkeypatch: pytest.MonkeyPatch) -> None:
    to = publisher("here:1", "one")
    assert to.refusal(Message(b"x")) is None
    to.topic = to.topic._replace(compacted=True, max_bytes=200)
    assert to.refusal(Message(b"x", key=b"k")) is None
    assert "without a key" in (to.refusal(Message(b"x")) or "")
    assert to.refusal(Message(bytes(range(256)), key=b"k")) == "too large for the topic"


def test_what_brokers_refuse_all_the_same_is_not_cut() -> None:
    record = publisher("here:1", "one").record(Message(b"x" * 100_000))
    assert isinstance(record, Outgoing)
    with pytest.raises(KafkaFailure, match="can't produce to topic news"):
        to_try_again(record, MessageSizeTooLargeError())
