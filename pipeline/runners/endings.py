"""How a job that runs elsewhere may end, beside well: each with an exit code."""

from __future__ import annotations

from transforms.failures import PipelineFailure


class CancelledElsewhere(PipelineFailure):
    """Somebody else has cancelled the job, or put another in its place."""

    exit_code = 4
