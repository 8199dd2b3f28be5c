"""`--runner=FlinkRunner`."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator

from apache_beam.options.pipeline_options import PipelineOptions

from models.settings import SettingsSet
from pipeline.beam_workarounds import hush_threads, hush_worker
from pipeline.runners.flink import job_jar
from pipeline.runners.flink.cluster import run_on_cluster
from pipeline.runners.flink.configure import configure, number
from pipeline.runners.flink.known import KNOWN
from pipeline.runners.flink.master import master_of
from pipeline.runners.flink.submission import keep
from pipeline.runners.flink.within import run_within
from pipeline.runners.runner import Job, Runner
from transforms.reading import undrain


class Flink(Runner):
    """Apache Flink: a cluster, or one inside Beam's job server."""

    def known_options(self) -> Collection[str]:
        """Those of the job server."""
        return KNOWN

    def configure(
        self, beam_options: PipelineOptions, given: Collection[str], options: SettingsSet
    ) -> None:
        """Checks what can be checked, sets what matters."""
        configure(beam_options, given, options)
        job_jar.check(beam_options)

    def checkpoint(self, beam_options: PipelineOptions) -> float | None:
        """As is asked of Flink."""
        interval = number(beam_options, "checkpointing_interval")
        return None if interval is None else interval / 1000

    @contextlib.contextmanager
    def around(self) -> Iterator[None]:
        """Workers may live in this process."""
        undrain()
        hush_worker()
        hush_threads()
        yield

    def run(self, job: Job) -> None:
        """Submits the job, and stays with it as was asked for."""
        # The pipeline has options of its own: a copy.
        keep(job.pipeline.options, job.ends)
        if (jar := job_jar.wanted(job.beam_options)) is not None:
            job_jar.write(job, jar)
        elif (master := master_of(job.beam_options)) is None:
            run_within(job)
        else:
            run_on_cluster(job, master)
