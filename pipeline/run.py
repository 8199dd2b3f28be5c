"""Runs the pipeline: checks, builds, submits, and cleans up."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import logging
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from models.bundle import Bundle
from models.locate import is_elsewhere
from models.onnx import sessions_kept
from models.settings import fields_of
from models.verify import verify
from pipeline.ends.end import Ends, SinkEnd
from pipeline.graph import build
from pipeline.options import RUN_SETTINGS, RunOptions
from pipeline.plan import plan
from pipeline.preflight import check
from pipeline.runners.checking import CheckSettings
from pipeline.runners.kinds import runner_of
from pipeline.runners.local import DEFAULT_RUNNER
from pipeline.runners.runner import Job, Runner, option_names
from pipeline.watching.serve import watched
from pipeline.watching.settings import WatchSettings
from transforms.errors import ConfigurationError
from transforms.failures import forget_failures
from transforms.tally import TALLY
from transforms.writing import Share

log = logging.getLogger("newsbeam")


def beam_options(beam_args: Sequence[str]) -> PipelineOptions:
    """Beam's options: what the user gave, our runner where none is given.

    Raises:
        ConfigurationError: Nobody has such an option or runner, or the option takes no such value.
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
    _check_unknown(unknown, runner_of(parsed), parsers[0])
    return parsed


def _check_unknown(unknown: Sequence[str], runner: Runner, parser: argparse.ArgumentParser) -> None:
    """Refuses what neither newsbeam, nor Beam, nor the runner's job server knows.

    Raises:
        ConfigurationError: There is something of that kind; names the nearest that there is.
    """
    known = runner.known_options()
    if known is None:
        return
    # `--name value` is two of them.
    values = {
        i + 1
        for i, each in enumerate(unknown)
        if "=" not in each and option_names([each]) & set(known)
    }
    strange = [
        each
        for i, each in enumerate(unknown)
        if not option_names([each]) & set(known) and not (i in values and not each.startswith("--"))
    ]
    if not strange:
        return
    there_are = {field.name for cls in RUN_SETTINGS for field in fields_of(cls)} | set(known)
    there_are |= {each[2:] for each in parser._option_string_actions if each.startswith("--")}
    near = difflib.get_close_matches(strange[0].lstrip("-").partition("=")[0], there_are, 1)
    raise ConfigurationError(
        f"{strange[0]} is neither an option of newsbeam nor one that Beam knows: "
        + (f"did you mean --{near[0]}?" if near else "see `newsbeam run --help`")
    )


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
    runner = runner_of(parsed)
    forget_failures()
    # From the first moment on, so that who watches it sees it start.
    with watched(options.of(WatchSettings), runner.LOCAL), _opened(options, runner) as opening:
        ends = check(options, parsed)
        opening()
        TALLY.reset()
        forget_failures()
        if not options.of(CheckSettings).dry_run:
            ends.source.begin()
        with runner.around():
            _run(options, parsed, runner, ends, live_status)


@contextlib.contextmanager
def _opened(options: RunOptions, runner: Runner) -> Iterator[Callable[[], None]]:
    """Opens the model while brokers are asked, where its steps work in this process, and keeps it open.

    What is wrong with it is told by whoever needs it, in due course.

    Yields:
        Waits until it is open.
    """
    model = options.model.model
    if not runner.LOCAL or is_elsewhere(model):
        yield lambda: None
        return

    def attempt() -> None:
        with contextlib.suppress(Exception):
            verify(Bundle.load(model))

    thread = threading.Thread(target=attempt, name="newsbeam-open")
    with sessions_kept():
        thread.start()
        try:
            yield thread.join
        finally:
            thread.join()  # a process must not end while ONNX Runtime is at work


def _run(
    options: RunOptions, parsed: PipelineOptions, runner: Runner, ends: Ends, live_status: bool
) -> None:
    """Builds the pipeline and has it run."""
    bundle = Bundle.load(options.model.model)
    reading = options.reading(bundle)
    pipeline = built(options, parsed, ends)
    log.info(
        "%s -> %s, dead letters -> %s; model %s reads %s; delivery %s: %s",
        ends.source.end.uri,
        ", ".join(_shown(share, sink) for share, sink in ends.sinks),
        ends.dead_letters.end.uri,
        bundle.model_id,
        reading,
        ends.delivery.replace("_", " "),
        ends.why,
    )
    # Those of the pipeline are a copy: what is set from here on has to be set in there.
    job = Job(pipeline, options, pipeline.options, ends, live_status)
    try:
        runner.prepare(job)
        if options.of(CheckSettings).dry_run:
            print(plan(job), end="", flush=True)
            return
        runner.run(job)
    finally:
        ends.close()
        leave_nothing(pipeline)


def built(options: RunOptions, parsed: PipelineOptions, ends: Ends) -> beam.Pipeline:
    """The pipeline, whose model has classified a sentence.

    Raises:
        ConfigurationError: Beam refuses its options, or the graph can't be.
        BundleError: The model can't be used.
    """
    parsed.view_as(StandardOptions).streaming = not ends.source.bounded
    pipeline = _pipeline(parsed)
    try:
        build(pipeline, options, ends)
    except BaseException:
        leave_nothing(pipeline)
        raise
    return pipeline


def leave_nothing(pipeline: beam.Pipeline) -> None:
    """Removes a pipeline's temporary folder, as Beam does of one that has run."""
    shutil.rmtree(pipeline.local_tempdir, ignore_errors=True)


def _pipeline(parsed: PipelineOptions) -> beam.Pipeline:
    """An empty pipeline.

    Raises:
        ConfigurationError: Beam refuses its options.
    """
    try:
        return beam.Pipeline(options=parsed)
    except ValueError as e:
        reasons = [line.strip() for line in str(e).splitlines() if line.strip()]
        raise ConfigurationError(f"Beam refuses its options: {reasons[-1]}") from None


def _shown(share: Share, sink: SinkEnd) -> str:
    """A sink as the log names it: with its categories, where it is a route."""
    if share.categories is None:
        return sink.end.uri
    return f"{', '.join(sorted(share.categories))}: {sink.end.uri}"
