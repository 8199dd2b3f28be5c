"""The command line: `newsbeam` and `python -m pipeline`.

A command is imported when somebody asks for it: most need much that the others don't.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from models.errors import BundleError
from pipeline.as_given import take_as_given
from pipeline.imports import interruptible, uncollected
from pipeline.logs import set_up, tell, tell_as_asked
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.streams import check_output, prepare_streams

#: What typer raises for a wrong command line; which module it lives in depends on typer's version.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

#: The commands, in the order of `--help`.
COMMANDS = (
    "run",
    "classify",
    "evaluate",
    "consume",
    "dead-letters",
    "replay",
    "demo",
    "worker-pool",
    "jobs",
    "model",
)


class _Commands(Mapping[str, Any]):
    """The commands by name, each imported when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Group(TyperGroup):
    """A group that imports none of its commands to list their names."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Commands()  # type: ignore[assignment]

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)


def _typer(**given: Any) -> typer.Typer:
    return typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="markdown", **given)


@functools.cache
def _command(name: str) -> Any:
    """What typer runs of a command."""
    alone = _typer(callback=lambda: None)  # one that has a callback is a group
    with interruptible(), uncollected():
        command = _imported(name)
    if isinstance(command, typer.Typer):
        alone.add_typer(command, name=name)
    else:
        # Options that are not ours are Beam's: `run` hands them on.
        any_option = {"allow_extra_args": True, "ignore_unknown_options": True}
        alone.command(name, context_settings=any_option if name == "run" else None)(command)
    made = typer.main.get_group(alone).commands[name]
    take_as_given(made)
    return made


def _imported(name: str) -> Callable[..., int] | typer.Typer:
    """Imports a command; several in one are an app of their own."""
    match name:
        case "run":
            from pipeline.commands.run import run as command
        case "classify":
            from pipeline.commands.classify import classify as command
        case "evaluate":
            from pipeline.commands.evaluate import evaluate as command
        case "consume":
            from pipeline.commands.consume import consume as command
        case "dead-letters":
            from pipeline.commands.dead_letters import dead_letters as command
        case "replay":
            from pipeline.commands.replay import replay as command
        case "demo":
            from pipeline.commands.demo import demo as command
        case "worker-pool":
            from pipeline.commands.worker_pool import worker_pool as command
        case "jobs":
            from pipeline.commands.jobs import app as command
        case _:
            from pipeline.commands.model import app as command
    return command


app = _typer(
    name="newsbeam",
    cls=_Group,
    help="Streaming news classification: reads news, categorizes it, writes categorized records.",
    no_args_is_help=True,
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"newsbeam {version('newsbeam')}")
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
    # NumPy's library for matrices starts a thread for each core when it is imported: a third of the CPU
    # time of a short command. Nothing here multiplies matrices but ONNX Runtime, on its own threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    prepare_streams()
    try:
        command = typer.main.get_command(app)
        take_as_given(command)
        code = command(args=list(args) if args is not None else None, standalone_mode=False)
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
