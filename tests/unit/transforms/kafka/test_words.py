"""Errors in plain words: no objects of Python, and what to do."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from kafka import TopicPartition
from kafka.errors import (
    CommitFailedError,
    InconsistentTopicIdError,
    KafkaError,
    LogTruncationError,
    TopicAuthorizationFailedError,
)
from kafka.structs import OffsetAndMetadata

from tests.servers.processes import free_port
from transforms.kafka.words import no_broker, said, unresolved_broker

TP = TopicPartition("news", 3)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KafkaError(f"lost {TP}\nand {object()}"), "lost news-3 and object"),
        (LogTruncationError({TP: OffsetAndMetadata(7, "", -1)}), "news-3: 7"),
        (KafkaError({TP: KafkaError}), "news-3: KafkaError"),
        (TopicAuthorizationFailedError({"news"}), "not authorized for topic news: grant"),
        (TopicAuthorizationFailedError("news"), "not authorized for topic news: grant"),
        (InconsistentTopicIdError(), "made again while it was read"),
        (CommitFailedError(), "members that subscribe"),
    ],
)
def test_no_objects_of_python(error: Exception, words: str) -> None:
    text = said(error)
    assert words in text
    for odd in ("object at 0x", "TopicPartition(", "OffsetAndMetadata(", "<class", "\n"):
        assert odd not in text


def test_a_broker_whose_name_is_not_known_here() -> None:
    def client(*hosts: str) -> SimpleNamespace:
        brokers = [SimpleNamespace(host=host, port=free_port()) for host in hosts]
        return SimpleNamespace(
            _manager=SimpleNamespace(cluster=SimpleNamespace(brokers=lambda: brokers))
        )

    assert unresolved_broker(client("127.0.0.1")) is None
    broker = unresolved_broker(client("127.0.0.1", "kafka-0.nosuch.invalid"))
    assert broker is not None
    line = no_broker("h:1", broker)
    assert "kafka-0.nosuch.invalid" in line
    assert "h:1" in line
    assert "advertised.listeners" in line
