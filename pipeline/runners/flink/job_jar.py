"""The job jar: a pipeline that is written to a file, for a Flink that runs it by itself.

Beam's job server writes it, with itself inside. It is what Flink's application mode on Kubernetes runs,
and what may be uploaded to any Flink.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from pipeline.runners.runner import Job
from transforms.errors import ConfigurationError

log = logging.getLogger("newsbeam")

#: What Flink starts in it.
ENTRY_CLASS = "org.apache.beam.runners.flink.FlinkPipelineRunner"
_FOR = f"a job for Flink, whose entry class is {ENTRY_CLASS}"
#: Where `newsbeam worker-pool` listens.
WORKER_POOL = "127.0.0.1:50000"


def wanted(beam_options: PipelineOptions) -> Path | None:
    """The jar that is asked for by `--output_executable_path`."""
    path = beam_options.view_as(PortableOptions).output_executable_path
    return Path(path) if path else None


def check(beam_options: PipelineOptions) -> None:
    """Checks what can be known before Beam's job server writes it.

    Raises:
        ConfigurationError: The file can't be written, or no Flink could run what would be in it.
    """
    path = wanted(beam_options)
    if path is None:
        return
    option = f"--output_executable_path={path}"
    if path.suffix != ".jar":
        raise ConfigurationError(f"{option}: Flink takes jars by their name: let it end in .jar")
    portable = beam_options.view_as(PortableOptions)
    # A job server that runs elsewhere has folders of its own.
    if not portable.job_endpoint and (path.is_dir() or not os.access(path.parent, os.W_OK)):
        raise ConfigurationError(f"{option}: can't be written: name a file in a folder of yours")
    if portable.environment_type == "LOOPBACK":
        raise ConfigurationError(
            f"{option}: with --environment_type=LOOPBACK the job would need this process: leave that "
            f"out, and give --environment_config={WORKER_POOL}, where `newsbeam worker-pool` listens"
        )


def write(job: Job, path: Path) -> None:
    """Writes the jar, and says what to do with it. It appears when it is whole.

    A job server that runs elsewhere writes it there.

    Args:
        job: The job, built and checked.
        path: Where to.
    """
    # A pipeline has options of its own.
    portable = job.pipeline.options.view_as(PortableOptions)
    if portable.job_endpoint:
        job.pipeline.run().wait_until_finish()
        log.info("%s wrote %s, on its machine: %s", portable.job_endpoint, path, _FOR)
        return
    unfinished = path.with_name(f".{path.name}.newsbeam-part")
    portable.output_executable_path = str(unfinished)
    try:
        job.pipeline.run().wait_until_finish()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    log.info("wrote %s, %d MB: %s", path, path.stat().st_size >> 20, _FOR)
