"""Who works, of several instances: a group of Kafka's elects, and whoever leads goes on leading."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.integration.harness import Topics
from tests.servers.processes import wait_until
from transforms.kafka.faults import KafkaFailure
from transforms.kafka.leader import Leader
from transforms.kafka.settings import KafkaSettings


@pytest.fixture
def join(kafka: Topics) -> Iterator[Callable[[], Leader]]:
    """Makes members of a group."""
    with contextlib.ExitStack() as members:

        def make() -> Leader:
            leader = Leader(KafkaSettings.of(kafka.servers), [kafka.news], kafka.group)
            return members.enter_context(contextlib.closing(leader))

        yield make


def test_the_first_leads_until_it_leaves_then_who_waits_longest(
    join: Callable[[], Leader],
) -> None:
    members = [join()]
    for _ in range(4):
        wait_until(members[0].leads, "the oldest to lead")
        members.append(join())
        wait_until(members[-1].waits, "another one to wait")
        members.append(join())
        wait_until(members[-1].waits, "a third to wait")
        # Those that came have changed nothing.
        assert [member.leads() for member in members] == [True] + [False] * (len(members) - 1)
        members.pop(0).close()


def test_brokers_that_refuse_say_so(kafka: Topics) -> None:
    settings = KafkaSettings.of(kafka.servers, query={"session_timeout_ms": "1000"})
    with contextlib.closing(Leader(settings, [kafka.news], kafka.group)) as leader:

        def refused() -> bool:
            try:
                return leader.leads()
            except KafkaFailure as e:
                assert kafka.group in str(e)  # noqa: PT017
                assert "\n" not in str(e)  # noqa: PT017
                return True

        wait_until(refused, "the group to refuse")
        with pytest.raises(KafkaFailure, match="give session_timeout_ms"):
            leader.leads()
