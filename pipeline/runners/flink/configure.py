"""What is set for a run on Flink where the user said nothing, and what is refused before the start."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Any

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
)

from models.settings import SettingsSet
from pipeline.ends import kinds
from pipeline.ends.settings import EndSettings
from pipeline.runners.flink.jobserver import JarInfo, check_java, info_of
from pipeline.runners.flink.known import NUMBERS, SWITCHES
from pipeline.runners.flink.master import (
    EXTERNAL,
    LOOPBACK,
    is_here,
    master_of,
    unreachable,
    workers_of,
)
from pipeline.runners.flink.rest import FlinkError, FlinkRest
from pipeline.runners.flink.submission import begin
from pipeline.runners.remote import LEAVE, RemoteSettings
from pipeline.runners.runner import refuse_secrets
from transforms.errors import ConfigurationError

log = logging.getLogger("newsbeam.flink")

#: What Flink waits for, at most, before it has the records of a bundle worked on to the end: latency.
BUNDLE_MS = 200
#: From one checkpoint to the next: what at-least-once repeats after a crash, and what Pub/Sub holds.
CHECKPOINT_MS = 5000
#: How long Flink's own sources stay when nothing more can come, where a job is to have an end, by
#: `--stop_at_end` or a drain within the job server: without that it would have none.
IDLE_MS = 1000
#: Where Flink's configuration names folders: since 1.20, and before.
_SAVEPOINTS = ("execution.checkpointing.savepoint-dir", "state.savepoints.dir")
_CHECKPOINTS = ("execution.checkpointing.dir", "state.checkpoints.dir")
_POOL = "start newsbeam's Python beside each task manager, `newsbeam worker-pool --port 50000`"


class Setter:
    """Sets options that the user did not give, and remembers them.

    Args:
        options: Beam's options, to be changed in place.
        given: The names of those that the user gave.
    """

    def __init__(self, options: PipelineOptions, given: Collection[str]) -> None:
        self._options = options
        self._given = given
        self.done: list[str] = []

    def python(self, view: type[PipelineOptions], name: str, value: Any) -> None:
        """Sets one that Beam's Python classes know."""
        if name not in self._given:
            setattr(self._options.view_as(view), name, value)
            self.done.append(f"--{name}={value}")

    def server(self, name: str, value: int | None = None) -> None:
        """Sets one that only the job server knows."""
        if name not in self._given:
            flag = f"--{name}" if value is None else f"--{name}={value}"
            # Beam reads these from the command line once the job server has told what it knows.
            self._options._flags.append(flag)
            self.done.append(flag)


def number(options: PipelineOptions, name: str) -> int | None:
    """What a number of the job server's was given as, or set to; None where it was neither.

    Raises:
        ConfigurationError: It is no number.
    """
    found = None
    flags = list(options._flags)
    for flag, following in zip(flags, [*flags[1:], ""], strict=True):
        if flag == f"--{name}":
            found = following
        elif flag.startswith(f"--{name}="):
            found = flag.partition("=")[2]
    if found is None:
        return None
    try:
        return int(found)
    except ValueError:
        raise ConfigurationError(f"--{name}={found} is no whole number: give one") from None


def configure(options: PipelineOptions, given: Collection[str], ours: SettingsSet) -> None:
    """Sets what matters, and says so in one line.

    Args:
        options: Beam's options, to be changed in place.
        given: The names of those that the user gave.
        ours: Ours.

    Raises:
        ConfigurationError: Something is known not to work, or is not there.
    """
    for name in sorted(NUMBERS):
        number(options, name)
    _check_switches(list(options._flags))
    refuse_secrets(options, given)
    of_user = tuple(options._flags)
    portable = options.view_as(PortableOptions)
    jar_only = portable.output_executable_path is not None
    master = master_of(options)
    _check_options(options, ours, master)
    if not portable.job_endpoint:
        check_java(options)
    setter = Setter(options, given)
    setter.server("finish_bundle_before_checkpointing")
    setter.server("max_bundle_time_mills", BUNDLE_MS)
    setter.server("checkpointing_interval", CHECKPOINT_MS)
    setter.python(GoogleCloudOptions, "job_name", job_name(ours))
    if (master is None and not jar_only) or ours.of(EndSettings).stop_at_end:
        setter.server("shutdown_sources_after_idle_ms", IDLE_MS)
    where = "a jar" if jar_only else "Flink inside the job server"
    if jar_only:
        _need_workers(options)
    elif master is None:
        if workers_of(options).type is None:
            setter.python(PortableOptions, "environment_type", LOOPBACK)
    else:
        where = _configure_cluster(options, setter, ours, master)
    _check_job_server(options, ours, of_user, cluster=master is not None or jar_only)
    log.info(
        "%s: set %s; give them to have them otherwise", where, " ".join(setter.done) or "nothing"
    )


def _check_switches(flags: Sequence[str]) -> None:
    """Refuses values of what takes none: Beam would read `--object_reuse false` as true."""
    for flag, following in zip(flags, [*flags[1:], "--"], strict=True):
        name, given, value = flag.removeprefix("--").partition("=")
        if name in SWITCHES and (given or not following.startswith("--")):
            raise ConfigurationError(
                f"--{name} takes no value, and was given {value or following!r}: give --{name} alone, "
                "or leave it out"
            )


def job_name(ours: SettingsSet) -> str:
    """What a job is called where nobody says: newsbeam, and whom it reads for."""
    end = kinds.parse(ours.of(EndSettings).source)
    group = getattr(end, "query", {}).get("group") or end.uri.partition("?")[0].rpartition("/")[2]
    if not getattr(end, "query", {}).get("group") and end.uri.startswith("kafka:"):
        group = "newsbeam"
    return "newsbeam" if group in {"", "newsbeam"} else f"newsbeam-{group}"


def _check_options(options: PipelineOptions, ours: SettingsSet, master: str | None) -> None:
    """Refuses what can't work together, whatever the cluster."""
    settings = ours.of(RemoteSettings)
    if options.view_as(FlinkRunnerOptions).flink_submit_uber_jar:
        raise ConfigurationError(
            "--flink_submit_uber_jar passes Flink's options on unchecked, and its jobs can't be "
            "followed: drop it, a job server does that; for a jar of the job give "
            "--output_executable_path"
        )
    interval = number(options, "checkpointing_interval")
    if interval is not None and interval < 10:
        raise ConfigurationError(
            f"--checkpointing_interval={interval} ms: without checkpoints nothing that was read is ever "
            f"committed; give 10 or more, or drop it ({CHECKPOINT_MS})"
        )
    if master is None:
        if settings.detach:
            raise ConfigurationError(
                "--detach needs a Flink cluster that goes on without us: give --flink_master=HOST:PORT"
            )
        return
    if workers_of(options).type == LOOPBACK and (settings.detach or settings.on_stop == LEAVE):
        what = "--detach" if settings.detach else "--on_stop=leave"
        raise ConfigurationError(
            f"{what} with --environment_type=LOOPBACK leaves a job without workers, which live in this "
            f"process: {_POOL}, and give --environment_config=HOST:50000"
        )


def _need_workers(options: PipelineOptions) -> None:
    """Takes an address for that of a worker pool; without one there is nowhere to run."""
    portable = options.view_as(PortableOptions)
    workers = workers_of(options)
    if workers.type is None and workers.config:
        portable.environment_type = EXTERNAL
    elif workers.type is None:
        raise ConfigurationError(
            f"where are the Python workers? {_POOL}, and give --environment_config=HOST:50000 as "
            "Flink's task managers reach it"
        )
    if workers.type in {None, EXTERNAL} and not workers.config:
        raise ConfigurationError(
            "--environment_type=EXTERNAL: give the worker pool's address as well, "
            "--environment_config=HOST:50000, as Flink's task managers reach it"
        )


def _configure_cluster(
    options: PipelineOptions, setter: Setter, ours: SettingsSet, master: str
) -> str:
    """Asks the cluster, and sets what depends on it.

    Returns:
        What it is, for the log.
    """
    flink = options.view_as(FlinkRunnerOptions)
    before = workers_of(options)
    _need_workers(options)
    if before.type is None:
        setter.done.append(f"--environment_type={EXTERNAL}")
    rest = FlinkRest(master)
    try:
        version = rest.version()
        there_is = rest.overview()
        configured = rest.configuration()
    except FlinkError as e:
        raise ConfigurationError(
            f"--flink_master={flink.flink_master}: {e}; give HOST:PORT of Flink's REST interface (8081)"
        ) from None
    flink.flink_master = master
    _check_pool(options, master)
    _check_version(options, setter, version)
    asked = ours.of(RemoteSettings)
    endless = not kinds.parse(ours.of(EndSettings).source).FINITE
    named = asked.savepoint_dir or any(configured.get(name) for name in _SAVEPOINTS)
    if configured and not named and endless and not asked.detach and asked.on_stop != LEAVE:
        raise ConfigurationError(
            f"--on_stop={asked.on_stop} makes a savepoint, and Flink at {master} has no folder for "
            "them: give --savepoint_dir=URI, set execution.checkpointing.savepoint-dir in Flink's "
            "configuration, or give --on_stop=leave"
        )
    if any(configured.get(name) for name in _CHECKPOINTS):
        # A job that fails for good, or is cancelled on Flink's page, can be resumed then.
        setter.server("externalized_checkpoints_enabled")
        setter.server("retain_externalized_checkpoints_on_cancellation")
    elif configured:
        log.warning(
            "Flink at %s keeps checkpoints in the job manager's memory: they are lost with it; set "
            "execution.checkpointing.dir in its configuration",
            master,
        )
    if flink.parallelism < 1:
        # What the cluster would take anyway; but who spreads the shards has to know it.
        default = configured.get("parallelism.default", "1")
        setter.python(FlinkRunnerOptions, "parallelism", int(default) if default.isdigit() else 1)
    parallelism = flink.parallelism
    free = int(there_is.get("slots-available") or 0)
    if there_is.get("taskmanagers") and free < max(1, parallelism):
        log.warning(
            "Flink at %s has %s free slots of %s, and the job wants %s: it waits for more",
            *(master, free, there_is.get("slots-total"), max(1, parallelism)),
        )
    return f"Flink {version} at {master}"


def _check_pool(options: PipelineOptions, master: str) -> None:
    """Refuses a worker pool that is known to be away."""
    workers = workers_of(options)
    if workers.type != EXTERNAL or not workers.config:
        return
    if is_here(workers.config) and not is_here(master):
        # Each task manager has one of its own: nothing that can be seen from here.
        return
    if why := unreachable(workers.config):
        raise ConfigurationError(
            f"--environment_config={workers.config}: no worker pool there ({why}): {_POOL}"
        )


def _check_version(options: PipelineOptions, setter: Setter, version: str) -> None:
    """Makes job server and cluster be of one version of Flink."""
    minor = ".".join(version.split(".")[:2])
    flink = options.view_as(FlinkRunnerOptions)
    if options.view_as(PortableOptions).job_endpoint:
        return
    if flink.flink_job_server_jar:
        made_for = info_of(options).flink
        if made_for is not None and made_for != minor:
            raise ConfigurationError(
                f"--flink_job_server_jar={flink.flink_job_server_jar} is for Flink {made_for}, and "
                f"the cluster is {version}: give one for {minor}"
            )
        return
    published = FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS
    if minor not in published:
        raise ConfigurationError(
            f"Beam has no job server for Flink {version}: it has them for {', '.join(published)}; run "
            "one of those, or give --flink_job_server_jar"
        )
    setter.python(FlinkRunnerOptions, "flink_version", minor)
    if flink.flink_version != minor:
        raise ConfigurationError(
            f"--flink_version={flink.flink_version}, but the cluster is {version}: drop it"
        )


def _check_job_server(
    options: PipelineOptions, ours: SettingsSet, of_user: Sequence[str], *, cluster: bool
) -> None:
    """Warns of a job server whose state grows, and has the job remember which one it was."""
    known = not options.view_as(PortableOptions).job_endpoint
    info = info_of(options) if known else JarInfo(None, None)
    begin(options, ours, of_user, info.beam)
    if cluster and info.leaks:
        log.warning(
            "Beam's job server %s leaks state, checkpoints grow with every bundle: take 2.76 or newer "
            "for more than a trial (deploy/flink/README.md)",
            info.beam,
        )
