"""Checks everything that can be checked before a pipeline starts: each fault is one clear line."""

from __future__ import annotations

import os
from pathlib import Path

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
)

from pipeline.connect import Ends, connect
from pipeline.endpoints import Endpoint, FileEndpoint
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
    ends = connect(options, in_one_process=local)
    _check_files(ends)
    ends = connect(options, in_one_process=local, clusters=clusters_of(ends))
    return check_kafka(ends, options)


def _check_runner(beam_options: PipelineOptions) -> None:
    direct = beam_options.view_as(DirectOptions)
    if direct.direct_num_workers != 1 or direct.direct_running_mode != "in_memory":
        raise ConfigurationError(
            "--direct_num_workers and --direct_running_mode lose records of unbounded sources on "
            "Beam's local runner: drop them; the model uses all cores anyway"
        )


# ---- files ---------------------------------------------------------------------------------------


def _check_files(ends: Ends) -> None:
    if isinstance(ends.source, FileEndpoint):
        try:
            found = FileSystems.match([ends.source.path])[0].metadata_list
        except Exception as e:  # each file system has errors of its own
            raise ConfigurationError(f"--source {ends.source.uri!r} can't be read: {e}") from None
        if not found:
            raise ConfigurationError(
                f"--source {ends.source.uri!r} matches no file: check the path"
            )
    _check_file_sink(ends.sink, "--sink", ends.bounded)
    _check_file_sink(ends.dead_letters, "--dead_letters", ends.bounded)


def _check_file_sink(endpoint: Endpoint, flag: str, bounded: bool) -> None:
    if not isinstance(endpoint, FileEndpoint):
        return
    if "://" in endpoint.path:
        if not bounded:
            raise ConfigurationError(
                f"{flag} {endpoint.uri!r}: an endless stream can only be appended to a local file; "
                "give a local path or a topic"
            )
        return
    path = Path(endpoint.path).absolute()
    if path.is_dir():
        raise ConfigurationError(f"{flag} {endpoint.uri!r} is a folder: name a file")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigurationError(
            f"{flag} {endpoint.uri!r}: can't write to the folder {path.parent}"
        )
