"""All runners by name."""

from __future__ import annotations

from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from pipeline.runners.local import DEFAULT_RUNNER, FnApi, Prism
from pipeline.runners.other import Other
from pipeline.runners.runner import Runner


def runner_of(beam_options: PipelineOptions) -> Runner:
    """The runner that Beam's options name; what runs elsewhere is imported where it is asked for."""
    match beam_options.view_as(StandardOptions).runner:
        case "FlinkRunner":
            from pipeline.runners.flink.runner import Flink

            return Flink()
        case "DataflowRunner":
            from pipeline.runners.dataflow.runner import Dataflow

            return Dataflow()
        case "PrismRunner" | "DirectRunner":
            return Prism()
        case name:
            return FnApi() if name == DEFAULT_RUNNER else Other()
