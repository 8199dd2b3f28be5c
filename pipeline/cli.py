"""The command line: `newsbeam` and `python -m pipeline`."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from models.errors import BundleError
from pipeline.commands import (
    classify,
    consume,
    dead_letters,
    demo,
    evaluate,
    jobs,
    model,
    replay,
    run,
    worker_pool,
)
from pipeline.logs import set_up, tell, tell_as_asked
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.streams import check_output, prepare_streams

#: What typer raises for a wrong command line; which module it lives in depends on typer's version.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="newsbeam",
    help="Streaming news classification: reads news, categorizes it, writes categorized records.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
# Options that are not ours are Beam's: `run` hands them on.
app.command("run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    run.run
)
app.command("classify")(classify.classify)
app.command("evaluate")(evaluate.evaluate)
app.command("consume")(consume.consume)
app.command("dead-letters")(dead_letters.dead_letters)
app.command("replay")(replay.replay)
app.command("demo")(demo.demo)
app.command("worker-pool")(worker_pool.worker_pool)
app.add_typer(jobs.app, name="jobs")
app.add_typer(model.app, name="model")


def _show_version(asked: bool) -> None:
    if asked:
        print(f"newsbeam {importlib.metadata.version('newsbeam')}")
        raise typer.Exit()


@app.callback()
def _begin(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version, and end.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    # `run` may do without stdout, and has a level of its own.
    if context.invoked_subcommand != "run":
        check_output("stdout")
        set_up("warning")


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        The exit code: 0 done, 1 the pipeline failed, 2 something was given wrongly (one line on
        stderr says what, and how to mend it), 130 interrupted.
    """
    prepare_streams()
    try:
        code = app(args=list(args) if args is not None else None, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except typer.Exit as e:
        return e.exit_code
    except (BundleError, ConfigurationError) as e:
        tell(str(e))
        return 2
    except PipelineFailure as e:
        tell(str(e))
        return e.exit_code
    except _UsageError as e:
        tell_as_asked(sys.argv[1:] if args is None else args)
        tell(_usage(e))
        return 2
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`newsbeam consume … | head`): nothing is wrong.
        sys.stderr.close()
        return 0


def _usage(error: Any) -> str:
    """One line: what was wrong with the command line, and where to read how it should be."""
    command = error.ctx.command_path if error.ctx else "newsbeam"
    # Without a command its help is shown, and the error says nothing.
    message = " ".join(error.format_message().split()).rstrip(".") or "no command was given"
    return f"{message}; see `{command} --help`"


if __name__ == "__main__":
    sys.exit(main())
