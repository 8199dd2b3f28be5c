"""A run on the Flink inside the job server: its steps work in this process, and it ends with us."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from apache_beam.runners.runner import PipelineState

from pipeline.runners.flink.submit import ENDED, EVERY, failed, job_service, state_of, submit
from pipeline.runners.local import drained_by_signals
from pipeline.runners.runner import Job
from pipeline.status import Status
from transforms.failures import first_failure
from transforms.news_settings import NewsSettings
from transforms.parse import all_dead
from transforms.tally import TALLY


def run_within(job: Job) -> None:
    """Runs a job until its source ends, or a signal has drained it.

    Raises:
        PipelineFailure: It failed.
    """
    with (
        job_service(job.pipeline.options) as server,
        Status() if job.live_status else contextlib.nullcontext(),
        drained_by_signals(),
    ):
        result = submit(job)
        try:
            state = _last_state(result)
            if state != PipelineState.DONE:
                raise first_failure() or failed(result, server)
            TALLY.first.end()
            if job.options.of(NewsSettings).fail_fast and TALLY.first.hopeless:
                raise all_dead(TALLY.first.hopeless)
        finally:
            _let_go(result)


def _last_state(result: Any) -> str:
    """Waits until the job is over.

    Raises:
        PipelineFailure: A step says that it can't go on: Flink would try again for ever.
    """
    while True:
        state = state_of(result)
        if state in ENDED or state is None:
            return state or PipelineState.FAILED
        failure = first_failure()
        if failure is not None:
            raise failure
        time.sleep(EVERY)


def _let_go(result: Any) -> None:
    """Ends the workers in this process."""
    with contextlib.suppress(Exception):
        result._cleanup()
