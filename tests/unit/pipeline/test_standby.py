"""Whoever works stops when it is no longer its turn, or when that can't be known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pipeline.options import RunOptions
from pipeline.preflight import check
from pipeline.run import beam_options
from pipeline.standby import TurnLost, its_turn
from tests.servers.processes import wait_until
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure, forget_failures
from transforms.reading import draining, undrain


class Told:
    """A candidate that is told what it is."""

    def __init__(self) -> None:
        self.turn = True
        self.failure: PipelineFailure | None = None
        self.closed = False

    def leads(self) -> bool:
        if self.failure is not None:
            raise self.failure
        return self.turn

    def waits(self) -> bool:
        return not self.turn

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    forget_failures()
    undrain()
    yield
    undrain()
    forget_failures()


def work(told: Told, then: Callable[[], None]) -> None:
    """Works until it is drained, which it is once something has happened."""
    with its_turn(told, lambda: None) as ours:
        assert ours
        then()
        wait_until(draining, "it to drain")


def test_it_drains_when_its_turn_is_over() -> None:
    told = Told()
    with pytest.raises(TurnLost):
        work(told, lambda: setattr(told, "turn", False))
    assert told.closed


def test_it_drains_when_brokers_no_longer_let_it_take_part() -> None:
    """Another instance would lead from then on, and both would write."""
    told, refused = Told(), PipelineFailure("no right to the group")
    with pytest.raises(PipelineFailure, match="no right to the group"):
        work(told, lambda: setattr(told, "failure", refused))
    assert told.closed


@pytest.mark.parametrize(
    ("source", "given", "why"),
    [
        ("kafka://k:9/news?start=earliest", {}, "drop ?start"),  # each turn would repeat it all
        ("kafka://k:9/news?start=latest", {}, "drop ?start"),  # each turn would lose some
        ("kafka://k:9/news", {"stop_at_end": True}, "--stop_at_end ends with what is there"),
        ("pubsub://my-project/news-sub", {}, "is for topics of Kafka"),
    ],
)
def test_what_nobody_can_stand_by_for(source: str, given: dict[str, bool], why: str) -> None:
    options = RunOptions(
        source, "kafka://k:9/out", standby=True, skip_checks=("kafka", "pubsub"), **given
    )
    with pytest.raises(ConfigurationError) as caught:
        check(options, beam_options([]))
    assert why in str(caught.value)
