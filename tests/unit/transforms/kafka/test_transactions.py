"""A shard's transaction that failed: whether somebody else has the shard, or brokers were away."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kafka import TopicPartition
from kafka.errors import (
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    TransactionalIdAuthorizationFailedError,
    TransactionalIdNotFoundError,
    UnsupportedVersionError,
)

from transforms.kafka import transactions
from transforms.kafka.faults import Fenced
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.transactional_ids import epoch_of
from transforms.kafka.transactions import TRANSACTION_TIMEOUT, ShardTransactions

NEWS = TopicPartition("news", 0)


class Clock:
    """Seconds, as many as a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(transactions, "time", clock)
    return clock


@pytest.fixture
def shard(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> ShardTransactions:
    """A shard whose first transaction fails on the way, and whose epoch is another one afterwards."""
    subscription = SimpleNamespace(
        settings=KafkaSettings.of("nowhere:9"),
        group="group",
        run="run",
        shards=lambda: ["news:0/1"],
    )
    made = ShardTransactions(cast("Any", subscription), "news:0/1", cast("Any", None))

    def lost(*_: object) -> None:
        monkeypatch.setattr(made, "_attempt", lambda *_: {})
        raise KafkaConnectionError("gone")

    monkeypatch.setattr(made, "_attempt", lost)
    monkeypatch.setattr(made, "_was_committed", lambda _: False)
    monkeypatch.setattr(made, "_take_over", lambda: None)
    monkeypatch.setattr(transactions, "Patience", lambda _: SimpleNamespace(wait=lambda _: None))
    monkeypatch.setattr(transactions, "epoch_of", lambda *_: (1, 2))
    monkeypatch.setattr(made, "_epoch", (1, 1))
    return made


def away(clock: Clock, seconds: float) -> Callable[..., None]:
    def ask(*_: object) -> None:
        clock.now += seconds

    return ask


def test_who_comes_back_late_is_fenced(
    shard: ShardTransactions, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "_look_for_others", away(clock, TRANSACTION_TIMEOUT - 1))
    with pytest.raises(Fenced, match="another instance has taken over shard news:0/1"):
        shard.commit_up_to({NEWS: 5}, [])


def test_brokers_that_were_away_for_longer_than_a_transaction_lasts_are_no_other_instance(
    shard: ShardTransactions, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have ended it meanwhile, which gives the id another epoch, too."""
    monkeypatch.setattr(shard, "_look_for_others", away(clock, TRANSACTION_TIMEOUT + 1))
    shard.commit_up_to({NEWS: 5}, [])


@pytest.mark.parametrize(
    "error",
    [
        TransactionalIdAuthorizationFailedError,
        IncompatibleBrokerVersion,
        UnsupportedVersionError,
        TransactionalIdNotFoundError,
    ],
)
def test_brokers_that_do_not_tell_who_has_an_id(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That was not asked before: it must be no reason to end."""

    class Admin:
        def describe_transactions(self, _: object) -> None:
            raise error("no")

        def close(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr(KafkaSettings, "admin", lambda _: Admin())
    assert epoch_of(KafkaSettings.of("nowhere:9"), "newsbeam-group:news:0/1") is None
