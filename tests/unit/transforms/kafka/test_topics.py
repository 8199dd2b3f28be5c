"""A topic that stays away ends the pipeline; one that comes back does not."""

from __future__ import annotations

import pytest
from kafka.errors import KafkaTimeoutError, NotLeaderForPartitionError

from tests.servers.processes import free_port
from transforms.kafka.faults import KafkaFailure
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.topics import DELETED_AFTER, MissingTopics


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_only_who_stays_away_is_missed() -> None:
    clock = Clock()
    missing = MissingTopics(KafkaSettings("h:1", {}), {"a", "b"}, clock)
    missing.found({"a"})
    clock.now = DELETED_AFTER - 1
    missing.found({"a"})
    missing.found({"a", "b", "c"})
    clock.now = DELETED_AFTER + 1
    missing.found({"a"})
    clock.now = 2 * DELETED_AFTER + 2
    with pytest.raises(KafkaFailure, match=r"topic 'b' is gone from h:1: was it deleted\?"):
        missing.found({"a"})


def test_errors_of_brokers_say_nothing_of_topics() -> None:
    nobody = KafkaSettings(f"127.0.0.1:{free_port()}", {"bootstrap_timeout_ms": 200})
    missing = MissingTopics(nobody, {"a"})
    missing.look(NotLeaderForPartitionError())
    missing.look(KafkaTimeoutError())
    assert missing._since is None


def test_the_brokers_are_asked(settings: KafkaSettings) -> None:
    clock = Clock()
    missing = MissingTopics(settings, {"no-such-topic"}, clock)
    missing.look(KafkaTimeoutError())
    clock.now = DELETED_AFTER + 1
    missing.look(NotLeaderForPartitionError())
    with pytest.raises(KafkaFailure, match="'no-such-topic' is gone"):
        missing.look(KafkaTimeoutError())
