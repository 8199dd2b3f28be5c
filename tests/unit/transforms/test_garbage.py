"""The collector of cyclic garbage passes over what stays, and still finds what does not."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from transforms.garbage import YOUNG, spare_what_stays


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    spare_what_stays.cache_clear()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    spare_what_stays.cache_clear()


class _Node:
    def __init__(self) -> None:
        self.itself = self


def test_what_is_there_is_passed_over_and_later_cycles_are_collected() -> None:
    spare_what_stays()
    assert gc.get_freeze_count() > 10_000
    gone = weakref.ref(_Node())
    assert gone() is not None
    kept: list[list[int]] = [[] for _ in range(2 * YOUNG)]
    assert gone() is None
    assert len(kept) == 2 * YOUNG


def test_it_is_done_once_a_process() -> None:
    spare_what_stays()
    frozen = gc.get_freeze_count()
    later: list[list[int]] = [[] for _ in range(100)]
    spare_what_stays()
    assert gc.get_freeze_count() <= frozen
    assert len(later) == 100
