"""DataflowRunner: what newsbeam sets and refuses there, and a job of it from submission to end."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import logging
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)

from models.locate import PACKAGED, is_elsewhere
from models.model_settings import ModelSettings
from models.settings import SettingsSet
from pipeline.ends.settings import AT_LEAST_ONCE, EndSettings
from pipeline.runners.checking import CheckSettings
from pipeline.runners.dataflow.follow import Follower, Place
from pipeline.runners.dataflow.places import check_place
from pipeline.runners.dataflow.settings import (
    AT_LEAST_ONCE_MODE,
    MIN_RAM,
    THREADS,
)
from pipeline.runners.remote import LEAVE, RemoteSettings
from pipeline.runners.runner import Job, Runner, refuse_secrets
from pipeline.runners.signals import asked_by_signals
from pipeline.runners.wheel import build_wheel
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure

log = logging.getLogger("newsbeam")

#: What Beam's runner needs beside Beam, and would miss at the last moment only.
_NEEDED = ("google.cloud.dataflow", "google.cloud.storage", "google.auth")
_JOB_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_PROJECT = re.compile(r"[a-z][-a-z0-9:.]+[a-z0-9]")
#: How code may reach workers without us: what names these knows what it does.
_OWN_WAYS = {"setup_file", "extra_package", "extra_packages", "requirements_file"}
_IMAGES = {"sdk_container_image", "worker_harness_container_image", "prebuild_sdk_container_engine"}
#: Set in an image for flex templates, whose launcher passes on what Google has to say.
_LAUNCHER = "FLEX_TEMPLATE_PYTHON_PY_FILE"


class Dataflow(Runner):
    """Google Cloud Dataflow."""

    def known_options(self) -> Collection[str] | None:
        # What a launcher of flex templates adds is Google's to say, and none of it is misspelt.
        return None if _LAUNCHER in os.environ else ()

    def processes(self, beam_options: PipelineOptions) -> int:
        """A process for each core, unless that was switched off."""
        experiments = beam_options.view_as(DebugOptions).experiments or []
        return 1 if "no_use_multiple_sdk_containers" in experiments else 0

    def configure(
        self, beam_options: PipelineOptions, given: Collection[str], options: SettingsSet
    ) -> None:
        for module in _NEEDED:
            if not _is_installed(module):
                raise ConfigurationError(
                    "--runner=DataflowRunner needs Google's client: pip install 'newsbeam[gcp]'"
                )
        _check_options(beam_options, given)
        cloud = beam_options.view_as(GoogleCloudOptions)
        _check_project_and_region(cloud)
        # An endpoint of this name is a stand-in: Beam itself takes local folders there.
        if not is_stand_in(cloud):
            checks = options.of(CheckSettings)
            ask = not checks.skips("temp_location") and not cloud.no_auth
            _check_places(cloud, ask=ask)
            # Beam asks once more when a pipeline is made, and for minutes: not in a dry run of its own,
            # which this is until it is prepared.
            beam_options.view_as(TestOptions).dry_run = not ask or checks.dry_run
        _check_model(beam_options, options)
        said = _set_defaults(beam_options, given, options)
        log.info("Dataflow: set %s", " ".join(said)) if said else None

    def prepare(self, job: Job) -> None:
        job.beam_options.view_as(TestOptions).dry_run = False
        cloud = job.beam_options.view_as(GoogleCloudOptions)
        services = list(cloud.dataflow_service_options or [])
        streaming = job.beam_options.view_as(StandardOptions).streaming
        modes = [each for each in services if each.startswith("streaming_mode_")]
        if streaming and job.ends.delivery == AT_LEAST_ONCE and not modes:
            cloud.dataflow_service_options = [*services, AT_LEAST_ONCE_MODE]
            log.info(
                "Dataflow: set --dataflow_service_options=%s, delivery being at least once",
                AT_LEAST_ONCE_MODE,
            )
        elif AT_LEAST_ONCE_MODE in modes and job.ends.delivery != AT_LEAST_ONCE:
            raise ConfigurationError(
                f"--dataflow_service_options={AT_LEAST_ONCE_MODE} doubles what exactly once must not: "
                "drop it, or give --delivery at_least_once"
            )
        if job.options.of(CheckSettings).dry_run:
            _translate(job)

    @contextlib.contextmanager
    def around(self) -> Iterator[None]:
        """Keeps what is made to be staged together, and removes it."""
        before = tempfile.tempdir
        with tempfile.TemporaryDirectory(prefix="newsbeam-") as folder:
            tempfile.tempdir = folder
            try:
                yield
            finally:
                tempfile.tempdir = before

    def run(self, job: Job) -> None:
        """Submits the job, and follows it to its end, or leaves it there."""
        _send_newsbeam(job.beam_options)
        result = _submit(job)
        cloud = job.beam_options.view_as(GoogleCloudOptions)
        if not result.has_job:
            log.info("the job was written to %s, and not started", cloud.template_location)
            return
        place = Place(cloud.project, cloud.region, result.job_id())
        log.info("job %s was submitted: %s", place.id, place.page)
        asked = job.options.of(RemoteSettings)
        if asked.detach:
            return
        with asked_by_signals(interrupts=False) as stop:
            follower = Follower(result._runner.dataflow_client, place, stop.wait)
            while not follower.to_its_end():
                if asked.on_stop == LEAVE or stop.times > 1:
                    log.info("job %s goes on: %s", place.id, place.page)
                    return
                log.info("%s: draining job %s; once more leaves it so", stop.name, place.id)
                follower.drain()
        for name, count in follower.counts().items():
            log.info("%s: %s", name, f"{count:,}")


def is_stand_in(cloud: GoogleCloudOptions) -> bool:
    """Whether the endpoint is on this machine, and Beam takes local folders to stage in."""
    return (urlsplit(cloud.dataflow_endpoint or "").hostname or "") == "localhost"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False


def _check_options(beam_options: PipelineOptions, given: Collection[str]) -> None:
    if "dry_run" in given and beam_options.view_as(TestOptions).dry_run:
        # What Beam takes: any text is true.
        raise ConfigurationError(
            "--dry_run is newsbeam's own, and takes no value: give --dry_run, or leave it out"
        )
    refuse_secrets(beam_options, given)
    cloud = beam_options.view_as(GoogleCloudOptions)
    if cloud.job_name and not _JOB_NAME.fullmatch(cloud.job_name):
        raise ConfigurationError(
            f"--job_name={cloud.job_name}: give lower case letters, digits and -, a letter first"
        )
    if cloud.update and not cloud.job_name:
        raise ConfigurationError("--update replaces the job of a name: give its --job_name")


def _check_project_and_region(cloud: GoogleCloudOptions) -> None:
    cloud.project = cloud.project or os.environ.get("GOOGLE_CLOUD_PROJECT")
    if not cloud.project:
        raise ConfigurationError(
            "DataflowRunner needs the id of a project: give --project, or set GOOGLE_CLOUD_PROJECT"
        )
    if not _PROJECT.fullmatch(cloud.project):
        raise ConfigurationError(
            f"--project={cloud.project} is no project's id: give its id, not its number or its title"
        )
    cloud.region = cloud.region or os.environ.get("CLOUDSDK_COMPUTE_REGION")
    if not cloud.region:
        raise ConfigurationError(
            "DataflowRunner needs a region: give --region, such as europe-west1, or set "
            "CLOUDSDK_COMPUTE_REGION"
        )


def _check_places(cloud: GoogleCloudOptions, *, ask: bool) -> None:
    if not cloud.temp_location and not cloud.staging_location:
        raise ConfigurationError(
            "DataflowRunner needs a folder for a job's files: give --temp_location=gs://BUCKET/FOLDER"
        )
    cloud.temp_location = cloud.temp_location or cloud.staging_location
    cloud.staging_location = cloud.staging_location or cloud.temp_location
    places = {cloud.temp_location: "--temp_location"}
    places.setdefault(cloud.staging_location, "--staging_location")
    for path, flag in places.items():
        check_place(flag, path, ask=ask)


def _check_model(beam_options: PipelineOptions, options: SettingsSet) -> None:
    """Refuses a model of this machine that no image can bring to the workers."""
    model = options.of(ModelSettings).model
    if model is None or model in PACKAGED or is_elsewhere(model):
        return
    if beam_options.view_as(WorkerOptions).sdk_container_image:
        log.info("--model %s: the image has to have it at this path, too", model)
        return
    raise ConfigurationError(
        f"--model {model} is on this machine, and the workers have others: copy the folder to "
        "gs://BUCKET/FOLDER and name that, or bake it into an image (--sdk_container_image)"
    )


def _set_defaults(
    beam_options: PipelineOptions, given: Collection[str], options: SettingsSet
) -> list[str]:
    """Sets what matters where the user did not; gives what was set, as flags."""
    said = []
    setup = beam_options.view_as(SetupOptions)
    if setup.save_main_session is None:
        # Our steps are in modules, and the session of a command line is none of the workers' business.
        setup.save_main_session = False
        said.append("--no_save_main_session")
    if "sdk_location" not in given:
        # Every image, Beam's own too, has Beam.
        setup.sdk_location = "container"
        said.append("--sdk_location=container")
    debug = beam_options.view_as(DebugOptions)
    from_pubsub = options.of(EndSettings).source.lower().startswith("pubsub:")
    if from_pubsub and debug.number_of_worker_harness_threads is None:
        debug.number_of_worker_harness_threads = THREADS
        said.append(f"--number_of_worker_harness_threads={THREADS}")
    standard = beam_options.view_as(StandardOptions)
    if not any(hint.startswith("min_ram") for hint in standard.resource_hints or ()):
        standard.resource_hints = [*(standard.resource_hints or ()), f"min_ram={MIN_RAM}"]
        said.append(f"--resource_hint=min_ram={MIN_RAM}")
    cloud = beam_options.view_as(GoogleCloudOptions)
    if not cloud.job_name:
        now = datetime.datetime.now(datetime.UTC)
        cloud.job_name = f"newsbeam-{now:%Y%m%d-%H%M%S}"
        said.append(f"--job_name={cloud.job_name}")
    return said


def _send_newsbeam(beam_options: PipelineOptions) -> None:
    """Says how newsbeam reaches the workers; sends it along where the user has no way of its own."""
    set_by_user = beam_options.get_all_options(drop_default=True)
    if image := next((set_by_user[name] for name in sorted(_IMAGES & set_by_user.keys())), None):
        log.info("newsbeam reaches the workers in the image %s", image)
    elif own := next((set_by_user[name] for name in sorted(_OWN_WAYS & set_by_user.keys())), None):
        log.info("newsbeam has to reach the workers by %s", own)
    else:
        folder = Path(tempfile.mkdtemp())
        wheel = build_wheel(folder)
        beam_options.view_as(SetupOptions).extra_packages = [str(wheel)]
        log.info(
            "newsbeam %s reaches the workers as a wheel made of this one (%.0f MB), and pip brings "
            "there what it needs: an image starts faster, --sdk_container_image",
            importlib.metadata.version("newsbeam"),
            wheel.stat().st_size / 1e6,
        )


def _translate(job: Job) -> None:
    """Translates the job as for Dataflow, and sends nothing."""
    test = job.beam_options.view_as(TestOptions)
    test.dry_run = True
    try:
        job.pipeline.run()
    except (ValueError, RuntimeError) as e:
        raise ConfigurationError(f"Beam can't translate the job: {_last_line(e)}") from e
    finally:
        test.dry_run = False


def _submit(job: Job) -> Any:
    """Has Beam stage and submit the job.

    Raises:
        PipelineFailure: It was not taken.
    """
    try:
        return job.pipeline.run()
    except Exception as e:  # each of the clients below has errors of its own
        log.debug("submitting the job", exc_info=True)
        raise PipelineFailure(f"the job was not submitted: {_last_line(e)}") from e


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
