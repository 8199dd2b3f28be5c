"""All runners by name."""

from __future__ import annotations

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from pipeline.runners.dataflow.runner import Dataflow
from pipeline.runners.flink.runner import Flink
from pipeline.runners.local import FnApi, Prism
from pipeline.runners.other import Other
from pipeline.runners.runner import Runner

RUNNERS: tuple[type[Runner], ...] = (FnApi, Prism, Flink, Dataflow)


def runner_of(beam_options: PipelineOptions) -> Runner:
    """The runner that Beam's options name."""
    name = beam_options.view_as(StandardOptions).runner
    return next((kind() for kind in RUNNERS if name in kind.NAMES), Other())
