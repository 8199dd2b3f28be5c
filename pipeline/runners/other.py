"""Any other runner: Beam runs it, and newsbeam waits."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from apache_beam.options.pipeline_options import PipelineOptions

from models.settings import SettingsSet
from pipeline.runners import job_jar
from pipeline.runners.runner import Job, Runner


class Other(Runner):
    """A runner that newsbeam knows nothing special of."""

    NAMES: ClassVar[tuple[str, ...]] = ()

    def known_options(self) -> None:
        """Whatever it knows."""
        return

    def configure(
        self, beam_options: PipelineOptions, given: Collection[str], options: SettingsSet
    ) -> None:
        """Has the job of a jar find its workers."""
        job_jar.configure(beam_options, given)

    def run(self, job: Job) -> None:
        """Submits the job, and waits for its end; or writes its jar."""
        if (jar := job_jar.wanted(job.beam_options)) is not None:
            job_jar.write(job, jar)
            return
        job.pipeline.run().wait_until_finish()
