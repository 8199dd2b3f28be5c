"""`newsbeam run`: the pipeline, from a source to a sink."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated, Any

import typer

from pipeline.flags import with_flags
from pipeline.options import RUN_SETTINGS, RunOptions


@with_flags(*RUN_SETTINGS)
def run(
    context: typer.Context,
    log_level: Annotated[
        str,
        typer.Option(
            "--log_level",
            metavar="LEVEL",
            help="What is logged to stderr: debug, info, warning or error. With debug a failure "
            "shows where it came from.",
            envvar="NEWSBEAM_LOG_LEVEL",
            rich_help_panel="Logging",
        ),
    ] = "info",
    log_format: Annotated[
        str,
        typer.Option(
            "--log_format",
            metavar="FORMAT",
            help="How it is logged: text, or json, an object a line, tracebacks and all.",
            envvar="NEWSBEAM_LOG_FORMAT",
            rich_help_panel="Logging",
        ),
    ] = "text",
    **given: Any,
) -> int:
    """Read news, categorize it, write it; whole messages that can't be go to the dead letters.

    **Endpoints** are URIs:

    - `kafka://host:port[,host:port]/topic[,topic]`; a source also takes `?group=NAME` (default
      newsbeam) and `&start=`: committed (default; earliest if nothing is), or, at every start anew,
      earliest, latest, or a time such as 2026-01-31T12:00:00Z. Any other name there is a Kafka
      client setting.

    - `pubsub://PROJECT/NAME`: a subscription as a source, a topic as a sink.

    - a path, `file://`, `gs://` or `s3://`. A source: JSON lines, CSV, text or Parquet, globs, .gz too;
      with `?columns=a,b` for CSV without a header line, `?delimiter=`, `?format=`. A sink: one file,
      or a folder, `out/?format=parquet&partition_by=category,hour&every=5m&max_size=128MB`.

    - `bigquery://PROJECT.DATASET.TABLE`: a sink.

    - `-`: stdin, stdout, for dead letters stderr.

    Messages in topics may have a schema in a registry: `?format=avro&schema_registry=URL`, results too.

    Ends with its files, at the end of its topics with --stop_at_end, or on SIGTERM or Ctrl-C, when
    it finishes what it has read. Any other option is Beam's: --runner=FnApiRunner (default),
    PrismRunner, FlinkRunner, …

    Exit code 0: done, 1: the pipeline failed, 2: something was given wrongly, 3: another instance
    with the same group has taken over, 4: somebody else has cancelled the job.
    """
    from pipeline.logs import set_up, tell

    # Before Beam is imported, which would warn of optional parts that are not installed.
    set_up(log_level, log_format)
    from transforms.errors import ConfigurationError

    options = RunOptions(**given)
    from models.errors import BundleError
    from pipeline.imports import clouds_when_used, interruptible, uncollected
    from transforms.failures import first_failure

    with interruptible(), uncollected(), clouds_when_used():
        from pipeline.run import execute

    try:
        execute(options, context.args, live_status=True)
    except (ConfigurationError, BundleError):
        raise
    except Exception as e:
        logging.getLogger("newsbeam").debug("the pipeline failed", exc_info=True)
        failure = first_failure()
        tell(str(failure or f"the pipeline failed: {_reason(e)}"))
        _let_go_of_stdout()
        return failure.exit_code if failure else 1
    return 0


def _let_go_of_stdout() -> None:
    """What stdout's reader did not take any more stays in a buffer that Python would flush again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _reason(error: BaseException) -> str:
    """The line that says what went wrong: the last one, where Beam passes on a whole traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
