"""Records go to the partitions that kafka-python, and with it every Kafka client, gives them."""

from __future__ import annotations

import random

import pytest
from kafka.partitioner.default import DefaultPartitioner
from kafka.partitioner.default import murmur2 as theirs

from transforms.kafka.partitioner import Partitioner, murmur2


class _Cluster:
    def topics(self) -> set[str]:
        return {"out"}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {5, 0, 3, 1, 4, 2} if topic == "out" else None

    def available_partitions_for_topic(self, topic: str) -> set[int]:
        return {4}


def test_keys_fall_where_they_always_have() -> None:
    source = random.Random(7)
    keys = [source.randbytes(n % 70) for n in range(2000)]
    for key in keys:
        assert murmur2(key) == theirs(key) & 0xFFFFFFFF
        ours, usual = Partitioner(), DefaultPartitioner()
        given = ("out", key, key, b"", b"", _Cluster())
        assert ours.partition(*given) == usual.partition(*given)


def test_a_record_without_a_key_goes_where_there_is_a_leader() -> None:
    assert Partitioner().partition("out", None, None, b"", b"", _Cluster()) == 4


def test_an_unknown_topic_is_refused() -> None:
    with pytest.raises(ValueError, match="other"):
        Partitioner().partition("other", b"k", b"k", b"", b"", _Cluster())
