"""Submits a pipeline to Beam's job server, and learns what became of it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_job_api_pb2
from apache_beam.runners.runner import PipelineState

from pipeline.runners.flink.causes import root_cause
from pipeline.runners.flink.follow import JobFailed, exit_code_of
from pipeline.runners.flink.jobserver import JobServer
from pipeline.runners.flink.master import master_of
from pipeline.runners.flink.rest import FlinkJob, FlinkRest, Unreachable
from pipeline.runners.runner import Job
from pipeline.runners.signals import Asked

log = logging.getLogger("newsbeam.flink")

#: Seconds between two questions to the job server.
EVERY = 0.5
#: States of Beam's that a job does not leave.
ENDED = frozenset(
    {
        PipelineState.DONE,
        PipelineState.FAILED,
        PipelineState.CANCELLED,
        PipelineState.DRAINED,
        PipelineState.UPDATED,
    }
)


@contextlib.contextmanager
def job_service(options: PipelineOptions) -> Iterator[JobServer | None]:
    """A job server that Beam submits to: one of ours, or that of `--job_endpoint`."""
    portable = options.view_as(PortableOptions)
    if portable.job_endpoint:
        yield None
        return
    log.info("starting Beam's job server for Flink")
    with JobServer(options, brief=master_of(options) is not None) as server:
        portable.job_endpoint = server.endpoint
        try:
            yield server
        finally:
            portable.job_endpoint = None


def submit(job: Job) -> Any:
    """Hands the pipeline over; returns Beam's result, which nobody has to wait for.

    Raises:
        JobFailed: The job server doesn't take it.
    """
    try:
        return job.pipeline.run()
    except grpc.RpcError as e:
        reason = getattr(e, "details", lambda: None)() or type(e).__name__
        raise JobFailed(f"Beam's job server doesn't take the job: {root_cause(str(reason))}") from e
    except grpc.FutureTimeoutError:
        endpoint = job.beam_options.view_as(PortableOptions).job_endpoint
        raise JobFailed(f"no job server answers at --job_endpoint={endpoint}") from None


def state_of(result: Any) -> str | None:
    """Beam's state of a job; None where the job server does not answer."""
    try:
        return str(result.state)
    except grpc.RpcError as e:
        log.debug("no answer of the job server: %s", e)
        return None


def reason_of(result: Any, server: JobServer | None) -> str:
    """Why a job failed, as the job server tells it: a stack trace, or a line."""
    request = beam_job_api_pb2.JobMessagesRequest(job_id=result._job_id)
    texts: list[str] = []
    # It tells all once the job is over, and then ends.
    with contextlib.suppress(grpc.RpcError):
        for message in result._job_service.GetMessageStream(request, timeout=10):
            said = message.message_response
            if said.importance == beam_job_api_pb2.JobMessage.JOB_MESSAGE_ERROR:
                texts.append(said.message_text)
    told = "\n".join(texts)
    if "Traceback" in told or server is None:
        return told
    lines = server.said
    # What it logs has all the causes; its messages often have the outermost alone.
    return lines if "Traceback" in lines else (told or lines)


def failed(result: Any, server: JobServer | None) -> JobFailed:
    """The failure of a job that never came to Flink, or of one inside the job server."""
    trace = reason_of(result, server)
    failure = JobFailed(f"Flink refused the job, or it failed: {root_cause(trace)}")
    failure.exit_code = exit_code_of(trace)
    return failure


def find_submitted(
    rest: FlinkRest,
    name: str,
    before: frozenset[str],
    result: Any,
    server: JobServer | None,
    asked: Asked,
) -> FlinkJob:
    """The job on the cluster, once it is there.

    Args:
        rest: Flink.
        name: The job's name.
        before: The ids of the jobs that were there before.
        result: Beam's result.
        server: The job server, where it is ours.
        asked: Whether we are to stop; it is only noted here, since the job is on its way.

    Raises:
        JobFailed: It did not get there.
    """
    while True:
        with contextlib.suppress(Unreachable):
            for job in rest.jobs():
                if job.name == name and job.id not in before:
                    return job
        state = state_of(result)
        if state == PipelineState.FAILED:
            raise failed(result, server)
        if state is None and server is not None and not server.running:
            raise JobFailed("Beam's job server ended before the job was on the cluster")
        if asked.times > 1:
            raise JobFailed(f"interrupted; Flink at {rest.url} may get the job yet")
        time.sleep(EVERY)
