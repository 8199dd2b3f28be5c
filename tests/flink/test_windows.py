"""Windows of an endless stream on Flink: shards spread over its subtasks, and nothing too late."""

from __future__ import annotations

from tests.integration.harness import Topics
from tests.integration.windows import check_a_backlog, check_partitions_of_all_kinds


def test_a_backlog(kafka: Topics, flink: tuple[str, ...]) -> None:
    check_a_backlog(kafka, flink)


def test_partitions_of_all_kinds(kafka: Topics, flink: tuple[str, ...]) -> None:
    check_partitions_of_all_kinds(kafka, flink, shards=4)
