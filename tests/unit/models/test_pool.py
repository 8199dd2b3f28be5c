"""The thread pool: one per process, as many threads as cores."""

from __future__ import annotations

import os
import threading
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


@pytest.mark.parametrize(
    ("threads", "processes", "expected"),
    [(None, 1, 8), (None, 2, 4), (None, 3, 2), (None, 0, 1), (None, 99, 1), (3, 0, 3), (99, 1, 8)],
)
def test_processes_share_a_host(
    monkeypatch: pytest.MonkeyPatch, threads: int | None, processes: int, expected: int
) -> None:
    monkeypatch.setattr(pools, "cores", lambda: 8)
    assert pools.share_of_host(threads, processes) == expected


def test_the_pool_may_be_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "cores", lambda: 8)
    monkeypatch.setattr(pools, "_pool", None)
    monkeypatch.setattr(pools, "_most", None)
    before = pools.pool()
    running = before.submit(lambda: 42)
    pools.limit(3)
    assert pools.pool()._max_workers == 3
    pools.limit(3)
    assert pools.pool() is pools.pool()
    assert running.result() == 42
    pools.pool().shutdown()


def test_a_new_limit_loses_no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_most", None)
    real = pools.pool
    others: list[threading.Thread] = []

    def pool() -> ThreadPoolExecutor:
        """The pool, with somebody who sets another limit just after it was given."""
        found = real()
        others.append(threading.Thread(target=pools.limit, args=(len(others) % 2 + 1,)))
        others[-1].start()
        others[-1].join(0.2)
        return found

    monkeypatch.setattr(pools, "pool", pool)
    done: list[int] = []

    def job() -> list[pools.Job]:
        done.append(1)
        return []

    pools.Jobs([job, job, job], 2).wait()
    for other in others:
        other.join()
    assert len(done) == 3
