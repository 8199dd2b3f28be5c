"""Runs the pipeline: checks, builds, submits, drains on a signal, and cleans up."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import io
import logging
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from types import FrameType

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.prism_runner import PrismRunner
from apache_beam.runners.runner import create_runner

from models.bundle import Bundle
from pipeline.beam_workarounds import hush_worker, merge_metrics_now_and_then
from pipeline.ends.end import Ends, SinkEnd
from pipeline.graph import build
from pipeline.options import RunOptions
from pipeline.preflight import LOCAL_RUNNERS, check
from pipeline.status import Status
from transforms.errors import ConfigurationError
from transforms.failures import forget_failures
from transforms.parse import all_dead
from transforms.reading import drain, undrain
from transforms.tally import TALLY
from transforms.writing import Share

log = logging.getLogger("newsbeam")

#: The local runner that is best where no window has to fire: Prism keeps a core busy for itself.
DEFAULT_RUNNER = "FnApiRunner"


def beam_options(beam_args: Sequence[str]) -> PipelineOptions:
    """Beam's options: what the user gave, our runner where none is given.

    Raises:
        ConfigurationError: Beam has no such option or runner, or the option takes no such value.
    """
    parsed = PipelineOptions(list(beam_args))
    parsers: list[argparse.ArgumentParser] = []
    said = io.StringIO()
    try:
        # Beam looks at its options bit by bit: this makes it look at all of them, now.
        with contextlib.redirect_stderr(said):
            parsed.get_all_options(add_extra_args_fn=parsers.append)
            unknown = parsers[0].parse_known_args(list(beam_args))[1]
    except SystemExit:
        reason = said.getvalue().strip().splitlines()[-1].partition("error: ")[2]
        raise ConfigurationError(f"{reason}: see Beam's pipeline options") from None
    standard = parsed.view_as(StandardOptions)
    if not standard.runner:
        standard.runner = DEFAULT_RUNNER
    try:
        create_runner(standard.runner)
    except (ValueError, ImportError, AttributeError) as e:
        raise ConfigurationError(f"--runner={standard.runner}: {e}") from None
    # Options that only a job server knows are sent to it: Flink's, for one.
    if unknown and standard.runner in LOCAL_RUNNERS:
        raise ConfigurationError(
            f"{unknown[0]} is neither an option of newsbeam nor one that Beam knows: "
            "see `newsbeam run --help`"
        )
    return parsed


def execute(
    options: RunOptions, beam_args: Sequence[str] = (), *, live_status: bool = False
) -> None:
    """Runs the pipeline to its end: of the files, at `drain`, or never.

    Args:
        options: What to do.
        beam_args: Beam's own options, as on a command line.
        live_status: Show the progress on stderr.

    Raises:
        ConfigurationError: Something was configured wrongly; nothing was started.
        BundleError: The model can't be used; nothing was started.
        Exception: What made the pipeline fail.
    """
    parsed = beam_options(beam_args)
    ends = check(options, parsed)
    parsed.view_as(StandardOptions).streaming = not ends.source.bounded
    undrain()
    TALLY.reset()
    forget_failures()
    hush_worker()
    merge_metrics_now_and_then()
    ends.source.begin()
    with contextlib.ExitStack() as left_behind:
        runner = parsed.view_as(StandardOptions).runner
        if runner in LOCAL_RUNNERS:
            left_behind.enter_context(_temporary_folder(at_once=runner == DEFAULT_RUNNER))
        _run(options, parsed, ends, live_status)


def _run(options: RunOptions, parsed: PipelineOptions, ends: Ends, live_status: bool) -> None:
    """Builds the pipeline and runs it to its end."""
    pipeline = beam.Pipeline(options=parsed)
    build(pipeline, options, ends)
    log.info(
        "%s -> %s, dead letters -> %s; model %s; delivery %s: %s",
        ends.source.end.uri,
        ", ".join(_shown(share, sink) for share, sink in ends.sinks),
        ends.dead_letters.end.uri,
        Bundle.load(options.model.model).model_id,
        ends.delivery.replace("_", " "),
        ends.why,
    )
    try:
        with (
            Status() if live_status else contextlib.nullcontext(),
            drained_by_signals() as can_signal,
        ):
            _prism = start_prism(parsed) if can_signal else None
            pipeline.run().wait_until_finish()
            TALLY.first.end()
            if options.news.fail_fast and TALLY.first.hopeless:
                raise all_dead(TALLY.first.hopeless)
            # Before the summary: what it tells of is in place then.
            for sink in ends.written:
                sink.complete()
            ends.source.complete()
    finally:
        ends.source.close()
        for sink in ends.written:
            sink.close()


def _shown(share: Share, sink: SinkEnd) -> str:
    """A sink as the log names it: with its categories, where it is a route."""
    if share.categories is None:
        return sink.end.uri
    return f"{', '.join(sorted(share.categories))}: {sink.end.uri}"


@contextlib.contextmanager
def _temporary_folder(*, at_once: bool) -> Iterator[None]:
    """A folder for all temporary files: Beam and its runners leave theirs behind."""
    before = tempfile.tempdir
    tempfile.tempdir = folder = tempfile.mkdtemp(prefix="newsbeam-")
    # What Prism has there is removed by Beam at the exit, after that comes this.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        yield
    finally:
        tempfile.tempdir = before
        if at_once:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def drained_by_signals() -> Iterator[bool]:
    """Makes SIGTERM and Ctrl-C drain the sources; a second Ctrl-C interrupts.

    Only the main thread may handle signals: elsewhere this does nothing, and yields False.
    """
    if threading.current_thread() is not threading.main_thread():
        yield False
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        log.info("%s: finishing what was read", signal.Signals(number).name)
        drain()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield True
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start_prism(parsed: PipelineOptions) -> object | None:
    """Starts Prism, where it is the runner, deaf to the terminal's Ctrl-C, so that we can drain.

    A program inherits ignored signals. Beam then uses the server that runs already.

    Returns:
        The server; Beam finds it for as long as somebody holds on to it.
    """
    if parsed.view_as(StandardOptions).runner not in {"PrismRunner", "DirectRunner"}:
        return None
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        server = PrismRunner().default_job_server(parsed)
        server.start()
        return server
    except Exception as e:
        log.debug("no Prism: %s", e)
        return None
    finally:
        signal.signal(signal.SIGINT, before)
