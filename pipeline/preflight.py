"""Checks everything that can be checked before a pipeline starts: each fault is one clear line."""

from __future__ import annotations

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
)

from models.bundle import Bundle
from pipeline.connect import check_loops, connect
from pipeline.ends.end import Ends
from pipeline.ends.files.checks import check_files
from pipeline.options import RunOptions
from pipeline.routes import check_routes
from transforms.errors import ConfigurationError

#: Runners that work in the process of the command line.
LOCAL_RUNNERS = {"FnApiRunner", "PrismRunner", "DirectRunner"}


def check(options: RunOptions, beam_options: PipelineOptions) -> Ends:
    """Checks the options against the world.

    Returns:
        The ends of the graph, ready to be built.

    Raises:
        ConfigurationError: Something can't work; the message names the value and the fix.
        BundleError: The model can't be used.
    """
    _check_runner(beam_options)
    # Clients of object stores are made with these, and kept.
    FileSystems.set_options(beam_options)
    runner = beam_options.view_as(StandardOptions).runner
    ends = connect(
        options,
        runner=runner,
        local=runner in LOCAL_RUNNERS,
        checkpoint=_checkpoint(beam_options),
        ask=True,
    )
    if options.ends.route:
        check_routes(options.ends, Bundle.load(options.model.model).labels)
    ends = check_files(ends)
    source = ends.source.checked()
    ends = ends.replacing(source, [sink.checked() for sink in ends.written])
    # Once more: by now the source may know better what it reads.
    check_loops(ends.source, ends.written)
    return ends


def _check_runner(beam_options: PipelineOptions) -> None:
    direct = beam_options.view_as(DirectOptions)
    if direct.direct_num_workers != 1 or direct.direct_running_mode != "in_memory":
        raise ConfigurationError(
            "--direct_num_workers and --direct_running_mode lose records of unbounded sources on "
            "Beam's local runner: drop them; the model uses all cores anyway"
        )


def _checkpoint(beam_options: PipelineOptions) -> float | None:
    """Seconds between checkpoints, where the options say so: Flink's do, in milliseconds."""
    interval = beam_options.get_all_options().get("checkpointing_interval")
    return int(interval) / 1000 if interval is not None and int(interval) > 0 else None
