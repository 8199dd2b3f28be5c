"""What `newsbeam jobs` shows of jobs: a list, and one of them in full."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.runners.flink.causes import root_cause
from pipeline.runners.flink.counts import (
    BEHIND,
    CATEGORY,
    LAG,
    OURS,
    READ,
    STAGE,
    Counters,
    is_ours,
    named,
)
from pipeline.runners.flink.rest import FlinkJob, FlinkRest
from pipeline.runners.flink.submission import Submission
from pipeline.runners.flink.words import size, span


@dataclass(frozen=True)
class Subtask:
    """One subtask of the stage that reads, classifies and writes.

    Attributes:
        number: From 0 on.
        state: `RUNNING` and so on.
        host: Where it runs.
        attempt: How often it was started before.
        counts: Records read, categorized, dead letters.
        waits: Records that wait in its shards, as it last said; None where it has said nothing.
        behind: How old the oldest of them is, in seconds.
    """

    number: int
    state: str
    host: str
    attempt: int
    counts: Mapping[str, int] = field(default_factory=dict, hash=False)
    waits: int | None = None
    behind: int = 0


def subtasks_of(rest: FlinkRest, job: str) -> list[Subtask]:
    """The subtasks of the stage that counts; none where none has counted yet."""
    for vertex in rest.vertices(job):
        id = str(vertex["id"])
        metrics = rest.metrics(job, id, is_ours)
        if not metrics:
            continue
        return [
            _subtask(each, {k: v for k, v in metrics.items() if k.startswith(f"{number}.")})
            for number, each in enumerate(rest.subtasks(job, id))
        ]
    return []


def _subtask(said: Mapping[str, Any], metrics: Mapping[str, float]) -> Subtask:
    counters = Counters()
    counters.add(metrics)
    total = counters.total()
    names = {name.rpartition(OURS)[2]: int(value) for name, value in metrics.items()}
    lags = [n for name, n in names.items() if name.startswith(LAG)]
    counts = {
        "read": total.get(READ, 0),
        "categorized": sum(named(total, CATEGORY).values()),
        "dead letters": sum(named(total, STAGE).values()),
    }
    return Subtask(
        int(said.get("subtask") or 0),
        str(said.get("status") or ""),
        str(said.get("endpoint") or said.get("host") or ""),
        int(said.get("attempt") or 0),
        counts,
        sum(lags) if lags else None,
        max((n for name, n in names.items() if name.startswith(BEHIND)), default=0),
    )


def in_list(jobs: Sequence[FlinkJob], now: Callable[[], float] = time.time) -> Iterator[str]:
    """A line for each job, under a headline."""
    rows = [("JOB", "NAME", "STATE", "FOR", "STARTED")]
    for job in jobs:
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job.started / 1000))
        lasted = job.duration if job.duration > 0 else 1000 * now() - job.started
        rows.append((job.id, job.name, _state(job), span(lasted), started))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def in_full(
    rest: FlinkRest, job: FlinkJob, clock: Callable[[], float] = time.time
) -> Iterator[str]:
    """All that is worth knowing of a job, line by line."""
    yield f"{job.name}  {job.id}"
    yield f"  state        {_state(job)}, for {span(job.duration)}"
    kept = Submission.found_in(rest.user_config(job.id))
    if kept is not None:
        reads = kept.reads
        if reads.get("topics"):
            topics, shards = ", ".join(reads["topics"]), reads.get("shards")
            group = f" for group {reads['group']}" if reads.get("group") else ""
            yield f"  reads        {topics}{group}, in {shards} shards"
        versions = f"newsbeam {kept.newsbeam}, Beam {kept.beam}"
        yield f"  versions     {versions}, job server {kept.job_server or 'unknown'}"
    yield from _checkpoints(rest.checkpoints(job.id), 1000 * clock())
    traces = rest.exceptions(job.id)
    if traces:
        what = "failed for" if job.state == "FAILED" else "restarted for"
        yield f"  {what:<12} {root_cause(traces[0])}"
    yield from _subtasks(subtasks_of(rest, job.id))
    yield f"  page         {rest.page(job.id)}"


def _state(job: FlinkJob) -> str:
    """`RUNNING`, or how far it is on its way there."""
    if job.state != "RUNNING" or job.running:
        return job.state
    total, running = sum(job.tasks.values()), job.tasks.get("running", 0)
    return f"RUNNING, {running} of {total} tasks started"


def _checkpoints(said: Mapping[str, Any], now: float) -> Iterator[str]:
    counts = said.get("counts") or {}
    latest = said.get("latest") or {}
    failed = int(counts.get("failed") or 0)
    line = f"{counts.get('completed') or 0} completed, {failed} failed"
    if last := latest.get("completed"):
        ago = span(now - int(last.get("latest_ack_timestamp") or now))
        took = span(float(last.get("end_to_end_duration") or 0))
        line += f"; the last {ago} ago, {size(float(last.get('state_size') or 0))} in {took}"
    yield f"  checkpoints  {line}"
    if failed and (why := (latest.get("failed") or {}).get("failure_message")):
        yield f"               the last failure: {root_cause(str(why))}"
    for name, words in (("savepoint", "savepoint"), ("restored", "resumed from")):
        if path := (latest.get(name) or {}).get("external_path"):
            yield f"  {words:<12} {path}"


def _subtasks(found: Sequence[Subtask]) -> Iterator[str]:
    if not found:
        yield "  subtasks     none has counted anything yet"
        return
    for each in found:
        waits = "" if each.waits is None else f", {each.waits:,} wait"
        behind = f" ({each.behind} s behind)" if each.behind else ""
        tries = f", start {each.attempt + 1}" if each.attempt else ""
        counts = ", ".join(f"{n:,} {what}" for what, n in each.counts.items())
        yield f"  subtask {each.number:<4} {each.state} on {each.host}{tries}: {counts}{waits}{behind}"
