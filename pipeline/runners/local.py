"""The runners of this machine: FnApiRunner, in this process, and Prism, in one beside it."""

from __future__ import annotations

import atexit
import contextlib
import logging
import shutil
import signal
import tempfile
from collections.abc import Collection, Iterator
from types import FrameType
from typing import ClassVar

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from models.settings import SettingsSet
from pipeline.beam_workarounds import (
    hush_worker,
    merge_metrics_now_and_then,
    without_beams_metrics,
    without_sampling,
)
from pipeline.ends.settings import EndSettings
from pipeline.runners.remote import LEAVE, RemoteSettings
from pipeline.runners.runner import Job, Runner
from pipeline.runners.signals import handled_by
from pipeline.standby import its_turn
from pipeline.status import Status
from transforms.errors import ConfigurationError
from transforms.news_settings import NewsSettings
from transforms.parse import all_dead
from transforms.reading import drain, undrain
from transforms.tally import TALLY

log = logging.getLogger("newsbeam")

#: The local runner that is best where no window has to fire: Prism keeps a core busy for itself.
DEFAULT_RUNNER = "FnApiRunner"


class Local(Runner):
    """A runner whose steps work in this process: it counts, and drains on a signal."""

    LOCAL: ClassVar[bool] = True
    #: Whether its temporary files are no longer needed once it has run.
    DONE_AT_ONCE: ClassVar[bool] = False

    def configure(
        self, beam_options: PipelineOptions, given: Collection[str], options: SettingsSet
    ) -> None:
        """Refuses more than one worker, and what only jobs on a cluster have."""
        _check_remote(options.of(RemoteSettings))
        direct = beam_options.view_as(DirectOptions)
        if direct.direct_num_workers != 1 or direct.direct_running_mode != "in_memory":
            raise ConfigurationError(
                "--direct_num_workers and --direct_running_mode lose records of unbounded sources "
                "on Beam's local runner: drop them; the model uses all cores anyway"
            )

    @contextlib.contextmanager
    def around(self) -> Iterator[None]:
        """Keeps temporary files together, and removes them."""
        undrain()
        hush_worker()
        merge_metrics_now_and_then()
        before = tempfile.tempdir
        tempfile.tempdir = folder = tempfile.mkdtemp(prefix="newsbeam-")
        # What Prism has there is removed by Beam at the exit, after that comes this.
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        try:
            with without_sampling():
                yield
        finally:
            tempfile.tempdir = before
            if self.DONE_AT_ONCE:
                shutil.rmtree(folder, ignore_errors=True)

    def run(self, job: Job) -> None:
        """Runs to the end of the source, or until a signal has drained it."""
        asked = job.options.of(EndSettings)
        with (
            drained_by_signals() as can_signal,
            its_turn(job.ends.source.candidate() if asked.standby else None, job.warm_up) as ours,
            Status() if job.live_status and ours else contextlib.nullcontext(),
        ):
            if not ours:
                return
            _server = self.server(job.beam_options) if can_signal else None
            job.pipeline.run().wait_until_finish()
            TALLY.first.end()
            if job.options.of(NewsSettings).fail_fast and TALLY.first.hopeless:
                raise all_dead(TALLY.first.hopeless)
            # Before the summary: what it tells of is in place then.
            job.ends.complete()


class FnApi(Local):
    """Beam's runner in this process."""

    DONE_AT_ONCE: ClassVar[bool] = True

    @contextlib.contextmanager
    def around(self) -> Iterator[None]:
        """Beam's metrics would come when the pipeline has ended: nobody waits for them here."""
        with super().around(), without_beams_metrics():
            yield


class Prism(Local):
    """Beam's runner in a program of its own; windows of an endless source fire there."""

    def configure(
        self, beam_options: PipelineOptions, given: Collection[str], options: SettingsSet
    ) -> None:
        """Finds the program."""
        super().configure(beam_options, given, options)
        # Beam's DirectRunner goes on without it.
        if beam_options.view_as(StandardOptions).runner == "PrismRunner":
            from pipeline.runners.prism import locate_prism

            locate_prism(beam_options)

    def server(self, beam_options: PipelineOptions) -> object | None:
        """Starts Prism deaf to the terminal's Ctrl-C, so that we can drain.

        A program inherits ignored signals. Beam then uses the server that runs already.
        """
        from apache_beam.runners.portability.prism_runner import PrismRunner

        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            server = PrismRunner().default_job_server(beam_options)
            server.start()
            return server
        except Exception as e:
            log.debug("no Prism: %s", e)
            return None
        finally:
            signal.signal(signal.SIGINT, before)


def _check_remote(settings: RemoteSettings) -> None:
    """Refuses what would do nothing here.

    Raises:
        ConfigurationError: It was asked for.
    """
    for given, flag in (
        (settings.detach, "--detach"),
        (settings.on_stop == LEAVE, "--on_stop=leave"),
        (settings.savepoint_dir is not None, "--savepoint_dir"),
    ):
        if given:
            raise ConfigurationError(
                f"{flag} is about a job on a cluster (FlinkRunner, DataflowRunner), and this runner "
                "works on this machine, in a process that is the job: drop it"
            )


@contextlib.contextmanager
def drained_by_signals() -> Iterator[bool]:
    """Makes SIGTERM and Ctrl-C drain the sources; a second Ctrl-C interrupts.

    Only the main thread may handle signals: elsewhere this does nothing, and yields False.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        log.info("%s: finishing what was read", signal.Signals(number).name)
        drain()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with handled_by(on_signal) as can_signal:
        yield can_signal
