"""Checks everything that can be checked before a pipeline starts: each fault is one clear line."""

from __future__ import annotations

from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
)

from pipeline.connect import Ends, connect
from pipeline.file_runs import check_files
from pipeline.kafka_preflight import check_kafka, clusters_of
from pipeline.options import RunOptions
from transforms.errors import ConfigurationError

#: Runners that work in the process of the command line.
LOCAL_RUNNERS = {"FnApiRunner", "PrismRunner", "DirectRunner"}


def check(options: RunOptions, beam_options: PipelineOptions) -> Ends:
    """Checks the options against the world.

    Returns:
        The ends of the graph, ready to be built.

    Raises:
        ConfigurationError: Something can't work; the message names the value and the fix.
    """
    _check_runner(beam_options)
    runner = beam_options.view_as(StandardOptions).runner
    local = runner in LOCAL_RUNNERS
    clusters = clusters_of(connect(options, in_one_process=local))
    ends = connect(options, in_one_process=local, clusters=clusters)
    ends = check_files(ends, options, local=local)
    return check_kafka(ends, options)


def _check_runner(beam_options: PipelineOptions) -> None:
    direct = beam_options.view_as(DirectOptions)
    if direct.direct_num_workers != 1 or direct.direct_running_mode != "in_memory":
        raise ConfigurationError(
            "--direct_num_workers and --direct_running_mode lose records of unbounded sources on "
            "Beam's local runner: drop them; the model uses all cores anyway"
        )
