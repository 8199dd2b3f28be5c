"""Checks everything that can be checked before a pipeline starts: each fault is one clear line."""

from __future__ import annotations

import logging

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from models.bundle import Bundle
from pipeline.connect import check_loops, connect
from pipeline.ends.end import Ends
from pipeline.ends.files.checks import check_files
from pipeline.options import RunOptions
from pipeline.routes import check_routes
from pipeline.runners.checking import CheckSettings
from pipeline.runners.kinds import runner_of
from pipeline.runners.runner import option_names
from transforms.errors import ConfigurationError

log = logging.getLogger("newsbeam")


def check(options: RunOptions, beam_options: PipelineOptions) -> Ends:
    """Checks the options against the world.

    Returns:
        The ends of the graph, ready to be built.

    Raises:
        ConfigurationError: Something can't work; the message names the value and the fix.
        BundleError: The model can't be used.
    """
    runner = runner_of(beam_options)
    if options.ends.standby and not runner.LOCAL:
        raise ConfigurationError(
            "--standby is for runners of this machine: others start what has failed again by "
            "themselves, drop it"
        )
    runner.configure(beam_options, option_names(beam_options._flags), options)
    # Clients of object stores are made with these, and kept.
    FileSystems.set_options(beam_options)
    ends = connect(
        options,
        runner=beam_options.view_as(StandardOptions).runner,
        local=runner.LOCAL,
        checkpoint=runner.checkpoint(beam_options),
        processes=runner.processes(beam_options),
        ask=True,
    )
    if not runner.LOCAL:
        _check_secrets(ends)
    if options.of(CheckSettings).skip_checks:
        names = ", ".join(options.of(CheckSettings).skip_checks)
        log.warning("not asked before the start, as --skip_checks says: %s", names)
    if options.ends.route:
        check_routes(options.ends, Bundle.load(options.model.model).labels)
    if options.ends.standby:
        _check_standby(options, ends)
    ends = check_files(ends)
    source = ends.source.checked()
    ends = ends.replacing(source, [sink.checked() for sink in ends.written])
    # Once more: by now the source may know better what it reads.
    check_loops(ends.source, ends.written)
    return ends


def _check_secrets(ends: Ends) -> None:
    """Refuses secrets that would stand in a job, where whoever may look at it reads them.

    Raises:
        ConfigurationError: There is one.
    """
    found = [ends.source.plain_secrets(), *(sink.plain_secrets() for sink in ends.written)]
    for name in sorted({name for names in found for name in names}):
        raise ConfigurationError(
            f"{name} would stand in the job itself, for everybody to read who may look at it: give it "
            "to the workers, and name it, as env://VARIABLE of their environment or "
            "secret://projects/PROJECT/secrets/NAME"
        )


def _check_standby(options: RunOptions, ends: Ends) -> None:
    ends.source.check_standby()
    if options.ends.stop_at_end:
        raise ConfigurationError(
            "--standby waits for its turn, and --stop_at_end ends with what is there now: drop one"
        )
