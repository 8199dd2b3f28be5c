"""The thread pool: one per process, as many threads as cores."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models import pool as pools


def test_one_pool_for_all() -> None:
    with ThreadPoolExecutor(8) as callers:
        found = set(callers.map(lambda _: pools.pool(), range(32)))
    assert len(found) == 1
    assert found.pop()._max_workers == pools.cores()


@pytest.mark.parametrize(
    ("limit", "expected"), [("max 100000", 64), ("250000 100000", 3), ("1000 100000", 1), ("", 64)]
)
def test_a_container_quota_counts(
    monkeypatch: pytest.MonkeyPatch, limit: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(Path, "read_text", lambda _: limit)
    assert pools.cores() == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_child_makes_its_own_pool() -> None:
    pools.pool().submit(int).result()
    child = os.fork()
    if not child:
        # Threads of the parent's pool are not here: its work would never be done.
        os._exit(pools.pool().submit(lambda: 42).result())
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 42
