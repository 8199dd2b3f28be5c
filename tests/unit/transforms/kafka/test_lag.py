"""What waits for a group, as brokers know it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition

from transforms.kafka import lag
from transforms.kafka.arrivals import Look

A, B, C, D = (TopicPartition("news", p) for p in range(4))


class Brokers:
    """An offsets client that knows four partitions."""

    made = 0

    def __init__(self, *_: Any) -> None:
        Brokers.made += 1
        self.closed = False

    def look(self, topics: Any) -> Look:
        return Look(0.0, {A: 100, B: 50, C: 7, D: None})

    def committed(self, partitions: Any, timeout: float) -> dict[TopicPartition, int]:
        return {tp: n for tp, n in {A: 90, B: 60}.items() if tp in partitions}

    def beginning(self, partitions: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 5)

    def close(self) -> None:
        self.closed = True


def test_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "OffsetsClient", Brokers)
    of: Any = SimpleNamespace(
        run="r", settings=None, group="g", isolation_level="read_committed", topics=("news",)
    )
    Brokers.made = 0
    # 10 of A; B stands behind its end, C was never read, of D nobody knows.
    assert lag.lag_of(of).messages == 10 + 2
    assert lag.lag_of(of).messages == 12
    assert Brokers.made == 1
    lag.close_lags()
    lag.lag_of(of)
    assert Brokers.made == 2
    lag.close_lags()
