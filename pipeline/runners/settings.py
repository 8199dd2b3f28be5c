"""The options of `newsbeam run` that are a runner's own; none of their modules imports Beam."""

from __future__ import annotations

from pipeline.runners.flink.settings import FlinkSettings

RUNNER_OPTIONS: tuple[type, ...] = (FlinkSettings,)
