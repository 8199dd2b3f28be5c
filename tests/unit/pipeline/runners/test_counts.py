"""Counts of a job: added up over subtasks and their restarts."""

from __future__ import annotations

from pipeline.runners.flink.counts import Counters, FlinkCounts, is_ours
from pipeline.runners.flink.rest import FlinkRest
from tests.unit.pipeline.runners.flink_rest import FakeFlink
from transforms.tally import Backlog

STEP = "[8]{Read_news__Classify}.newsbeam_"


def of(number: int, **counts: float) -> dict[str, float]:
    return {f"{number}.{STEP}{name}": value for name, value in counts.items()}


def test_names() -> None:
    assert is_ours(f"0.{STEP}read")
    assert is_ours(f"0.{STEP}categorized_Sci.Tech")
    assert is_ours(f"0.{STEP}lag_news:0/4")
    assert not is_ours(f"0.{STEP}inference_batch_latency_micro_secs")
    assert not is_ours("0.numRecordsIn")
    assert not is_ours("read")


def test_subtasks_are_added_up() -> None:
    counters = Counters()
    counters.add(of(0, read=5, categorized_World=4) | of(1, read=2, categorized_World=1, lag_a=7))
    assert counters.total() == {"read": 7, "categorized_World": 5}


def test_a_restart_begins_at_zero() -> None:
    counters = Counters()
    counters.add(of(0, read=100, categorized_World=90) | of(1, read=50))
    counters.add(of(1, read=60))
    counters.add(of(0, read=10, categorized_World=10) | of(1, read=70))
    assert counters.total() == {"read": 180, "categorized_World": 100}


def test_what_is_dead_after_all_is_no_restart() -> None:
    counters = Counters()
    counters.add(of(0, read=10, categorized_World=10))
    counters.add(of(0, read=10, categorized_World=9, dead_letters_Write=1))
    assert counters.total() == {"read": 10, "categorized_World": 9, "dead_letters_Write": 1}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_snapshot(flink: FakeFlink) -> None:
    id = flink.add("a" * 32)
    flink.metrics = of(0, read=7, categorized_World=4, dead_letters_ParseNews=2, unreadable_times=1)
    flink.metrics |= {"0.numRecordsIn": 4, f"0.{STEP}other": "DistributionResult{sum=1}"}
    flink.metrics |= {f"0.{STEP}lag_news:0/2": 30, f"0.{STEP}seconds_behind_news:0/2": 9}
    clock = Clock()
    counts = FlinkCounts(FlinkRest(flink.address), id, clock=clock)
    found = counts.snapshot()
    assert (found.read, found.categories, found.dead_letters) == (
        7,
        {"World": 4},
        {"ParseNews": 2},
    )
    assert found.unreadable_times == 1
    assert found.backlog is not None
    assert found.backlog.messages == 30
    assert 8 < found.backlog.behind < 60

    asked = len(flink.asked)
    flink.metrics |= of(0, read=9)
    assert counts.snapshot().read == 7  # not asked again so soon
    assert len(flink.asked) == asked
    clock.now = 5
    assert counts.snapshot().read == 9
    flink.close()
    clock.now = 10
    assert counts.snapshot().read == 9


def test_brokers_know_better_what_waits(flink: FakeFlink) -> None:
    id = flink.add("a" * 32)
    flink.metrics = {f"0.{STEP}lag_news:0/2": 30, f"0.{STEP}seconds_behind_news:0/2": 9}
    backlog = FlinkCounts(FlinkRest(flink.address), id, lambda: Backlog(4, None)).snapshot().backlog
    assert backlog is not None
    assert backlog.messages == 4
    nothing = FlinkCounts(FlinkRest(flink.address), id, lambda: Backlog(0, None)).snapshot().backlog
    assert nothing == Backlog(0, None)

    def broken() -> Backlog:
        raise OSError

    backlog = FlinkCounts(FlinkRest(flink.address), id, broken).snapshot().backlog
    assert backlog is not None
    assert backlog.messages == 30
