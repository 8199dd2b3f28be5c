"""Any other runner: Beam runs it, and newsbeam waits."""

from __future__ import annotations

from pipeline.runners.runner import Job, Runner
from pipeline.runners.words import TRACEBACK, line_of
from transforms.failures import PipelineFailure

_OURS = f"{PipelineFailure.__module__}.{PipelineFailure.__qualname__}: "


class Other(Runner):
    """A runner that newsbeam knows nothing special of."""

    def known_options(self) -> None:
        """Whatever it knows."""
        return

    def run(self, job: Job) -> None:
        """Submits the job, and waits for its end."""
        try:
            job.pipeline.run().wait_until_finish()
        except RuntimeError as e:
            # What a worker elsewhere has raised comes as text.
            if _OURS in str(e):
                raise PipelineFailure(line_of(f"{TRACEBACK}\n{e}")) from e
            raise
