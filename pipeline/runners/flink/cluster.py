"""A run on a Flink cluster: submitted, followed, and stopped as was asked for."""

from __future__ import annotations

import contextlib
import logging

from apache_beam.options.pipeline_options import GoogleCloudOptions

from pipeline.runners.flink.counts import FlinkCounts
from pipeline.runners.flink.follow import Follower, JobFailed, command
from pipeline.runners.flink.rest import FlinkError, FlinkRest
from pipeline.runners.flink.submit import find_submitted, job_service, submit
from pipeline.runners.remote import RemoteSettings
from pipeline.runners.runner import Job
from pipeline.runners.signals import Asked, asked_by_signals
from pipeline.status import Status
from transforms.errors import ConfigurationError

log = logging.getLogger("newsbeam.flink")

#: The rate of the last seconds, this many: Flink's counts move every 10 s.
RATE_WINDOW = 30.0


def run_on_cluster(job: Job, master: str) -> None:
    """Submits a job, and stays with it as was asked for.

    Args:
        job: What to run.
        master: The address of Flink's REST interface.

    Raises:
        ConfigurationError: The cluster runs such a job already.
        PipelineFailure: It failed, or was cancelled by somebody else.
    """
    rest = FlinkRest(master)
    settings = job.options.of(RemoteSettings)
    name = str(job.beam_options.view_as(GoogleCloudOptions).job_name)
    before = _jobs_before(rest, name)
    with asked_by_signals() as asked:
        try:
            id = _submitted(job, rest, name, before, asked, settings)
        except KeyboardInterrupt:
            raise JobFailed(
                f"interrupted; Flink at {rest.url} may have job {name}, or get it yet: see "
                f"`{command('list', '', rest)}`"
            ) from None
        if id is None:
            return
        follower = Follower(rest, id, asked, settings)
        counts = FlinkCounts(rest, id, job.ends.source.backlog)
        try:
            # What is counted may be long in coming: stopping must not wait for it.
            with _status(counts, shown=job.live_status):
                if not follower.until_over():
                    follower.stop()
        finally:
            job.ends.source.close()


def _jobs_before(rest: FlinkRest, name: str) -> frozenset[str]:
    """The ids of all jobs there are.

    Raises:
        ConfigurationError: One of that name runs.
    """
    try:
        jobs = rest.jobs()
    except FlinkError as e:
        raise ConfigurationError(str(e)) from None
    for each in jobs:
        if each.name == name and not each.ended:
            raise ConfigurationError(
                f"Flink at {rest.url} runs a job {name} already, {each.id} ({each.state}): two that "
                "read for one group take the stream from each other; `newsbeam jobs upgrade "
                f"{each.id}` puts this in its place, `newsbeam jobs stop` stops it, and another "
                "group or --job_name is another job"
            )
    return frozenset(each.id for each in jobs)


def _submitted(
    job: Job,
    rest: FlinkRest,
    name: str,
    before: frozenset[str],
    asked: Asked,
    settings: RemoteSettings,
) -> str | None:
    """Brings the job onto the cluster; its id, or None where there is nothing to stay for."""
    asked.on_its_way = True
    with job_service(job.pipeline.options) as server:
        result = submit(job)
        id = find_submitted(rest, name, before, result, server, asked).id
        asked.on_its_way = False
        log.info("job %s is on the cluster as %s, %s", name, id, rest.page(id))
        follower = Follower(rest, id, asked, settings)
        if follower.until_running():
            if not settings.detach:
                log.info("job %s runs", id)
                return id
            log.info("job %s runs; `%s` looks at it", id, command("status", id, rest))
            return None
        # Somebody has asked us to stop. It has read nothing that is not safe where it was.
        if settings.detach:
            log.info("%s: job %s goes on starting", asked.name, id)
            return None
        if follower.cancelled_unstarted():
            return None
    return id


def _status(counts: FlinkCounts, *, shown: bool) -> contextlib.AbstractContextManager[object]:
    return Status(counts, window=RATE_WINDOW) if shown else contextlib.nullcontext()
