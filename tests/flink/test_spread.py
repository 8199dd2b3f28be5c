"""Shards over the subtasks of a stand-alone Flink: as many for each, at any parallelism."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from tests.flink.jobs import PATIENCE
from tests.servers.processes import wait_until
from tests.servers.stand_alone_flink import StandAloneFlink
from transforms.reading import Batch, Reader, ReadUnbounded, Source

pytestmark = pytest.mark.timeout(2 * PATIENCE)
COUNTS = (4, 7, 8)


class _Nothing(Reader):
    """A shard in which there is nothing yet."""

    def resume(self, position: Any) -> None:
        return

    def poll(self, timeout: float, limit: int) -> Batch:
        return Batch([], 0, None)

    def at_end(self) -> bool:
        return False


class _Idle(Source):
    """So many shards in which there is nothing yet."""

    def __init__(self, count: int) -> None:
        self._count = count

    def shards(self) -> list[str]:
        return [f"idle:{k}/{self._count}" for k in range(self._count)]

    def reader(self, shard: str) -> Reader:
        return _Nothing()


@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_each_subtask_has_as_many_shards(stand_alone: StandAloneFlink, parallelism: int) -> None:
    pipeline = beam.Pipeline(
        options=PipelineOptions(["--streaming", *stand_alone.args(parallelism)])
    )
    for count in COUNTS:
        _ = (
            pipeline
            | f"Of {count}" >> ReadUnbounded(_Idle(count))
            | f"Go on {count}" >> beam.Map(str)
        )
    _result = pipeline.run()  # the job server goes with it
    cluster = stand_alone.cluster
    [job] = wait_until(cluster.alive, "the job to be submitted", PATIENCE, 0.2)
    for count in COUNTS:
        shards = wait_until(_all_of(stand_alone, job, count), f"{count} shards", PATIENCE, 0.5)
        print(f"parallelism {parallelism}, {count} shards: {shards} of each subtask")
        assert len(shards) == parallelism
        assert max(shards) - min(shards) <= 1


def _all_of(flink: StandAloneFlink, job: str, count: int) -> Callable[[], list[int]]:
    """Asks how many shards each subtask reads of so many, once all are read."""

    def asked() -> list[int]:
        # What comes into the step that reads are its shards; while the job begins it has no steps.
        shards = [
            subtask["metrics"]["read-records"]
            for vertex in flink.cluster.get(f"/jobs/{job}")["vertices"]
            if f"Go on {count}" in vertex["name"]
            for subtask in flink.cluster.get(f"/jobs/{job}/vertices/{vertex['id']}")["subtasks"]
        ]
        return shards if sum(shards) == count else []

    return asked
