"""What the rounds gave, as a table and as JSON."""

from __future__ import annotations

import os
import platform
import statistics
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.peer import Job, Peer
from benchmarks.peers.runs import Measured


@dataclass
class Result:
    """A peer, and what its runs gave.

    Attributes:
        peer: The peer.
        runs: By round; one that failed is not there.
    """

    peer: Peer
    runs: dict[int, Measured] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """The median of a figure over the rounds."""
        return statistics.median(getattr(run, name) for run in self.runs.values())

    def slower_than(self, other: Result) -> float | None:
        """How many times as fast the other was in the same round: the median; None without a round."""
        rounds = self.runs.keys() & other.runs.keys()
        if not rounds:
            return None
        return statistics.median(other.runs[i].rate / self.runs[i].rate for i in rounds)


def text(results: Sequence[Result]) -> str:
    """A table for each job. Newsbeam's rows have letters; the columns of these letters say how many
    times as fast it was as the row's peer, in the same round.
    """
    return "\n\n".join(
        _table(job, there)
        for job in Job
        if (there := [r for r in _ran(results) if r.peer.job is job])
    )


def as_json(results: Sequence[Result], skipped: Mapping[str, str]) -> dict[str, Any]:
    """All figures, for pictures.

    Args:
        results: Of the peers.
        skipped: Why others, or some of their rounds, are left out.
    """
    ran = _ran(results)
    return {
        "machine": {"cpu": cpu(), "cores": os.cpu_count(), "python": platform.python_version()},
        "peers": [
            {
                "name": r.peer.name,
                "title": r.peer.title,
                "job": r.peer.job.name.lower(),
                "rows": int(r.median("rows")),
                "rate": r.median("rate"),
                "accuracy": r.median("accuracy"),
                "first_result_s": r.median("first_result_s"),
                "memory": r.median("memory"),
                "rates": [run.rate for run in r.runs.values()],
                "times_as_fast": {o.peer.name: r.slower_than(o) for o in _ours(ran, r.peer.job)},
            }
            for r in ran
        ],
        "skipped": dict(skipped),
    }


def cpu() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _ran(results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result.runs]


def _ours(results: Sequence[Result], job: Job) -> list[Result]:
    return [r for r in results if r.peer.ours and r.peer.job is job]


def _table(job: Job, results: Sequence[Result]) -> str:
    ours = _ours(results, job)
    letters = {r.peer.name: letter for r, letter in zip(ours, string.ascii_uppercase, strict=False)}
    heads = [
        "rows/s",
        "accuracy",
        "rows",
        "first s",
        "MiB",
        *(f"{x} / it" for x in letters.values()),
    ]
    rows = [[f"{job.value}", *heads]]
    for r in sorted(results, key=lambda r: not r.peer.ours):
        ratios = [r.slower_than(o) for o in ours]
        rows.append(
            [
                f"{letters.get(r.peer.name, ' ')} {r.peer.title}",
                f"{r.median('rate'):.1f}",
                f"{r.median('accuracy'):.4f}",
                f"{r.median('rows'):.0f}",
                f"{r.median('first_result_s'):.1f}",
                f"{r.median('memory') / 2**20:.0f}",
                *("-" if ratio is None else f"{ratio:.2f}" for ratio in ratios),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )
