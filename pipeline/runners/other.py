"""Any other runner: Beam runs it, and newsbeam waits."""

from __future__ import annotations

from typing import ClassVar

from pipeline.runners.runner import Job, Runner


class Other(Runner):
    """A runner that newsbeam knows nothing special of."""

    NAMES: ClassVar[tuple[str, ...]] = ()

    def known_options(self) -> None:
        """Whatever it knows."""
        return

    def run(self, job: Job) -> None:
        """Submits the job, and waits for its end."""
        job.pipeline.run().wait_until_finish()
