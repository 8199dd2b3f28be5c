"""`newsbeam demo`: shows news being categorized, with a broker of its own; needs nothing else."""

from __future__ import annotations

import enum
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from pipeline.logs import NoTraceback
from pipeline.terminal import is_terminal

if TYPE_CHECKING:
    from pipeline.demo.session import Session


class Runner(enum.StrEnum):
    """The runners of Beam that run here."""

    FN_API = "FnApiRunner"
    PRISM = "PrismRunner"


_TRAFFIC = "Traffic"
_PIPELINE = "Pipeline"
#: Columns of the plain lines where there is no terminal.
_PLAIN_WIDTH = 120


def demo(
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds",
            min=1,
            max=86_400,
            help="How long to produce news. The demo takes a few seconds more, to start and to "
            "drain; the sample news begins again when it is used up.",
            envvar="NEWSBEAM_DEMO_SECONDS",
            rich_help_panel=_TRAFFIC,
        ),
    ] = 20.0,
    rate: Annotated[
        float,
        typer.Option(
            "--rate",
            min=0.1,
            max=10_000,
            help="Messages per second, poison included. More than the machine can classify (some "
            "hundreds a second on two cores) makes a queue, and the drain longer.",
            envvar="NEWSBEAM_DEMO_RATE",
            rich_help_panel=_TRAFFIC,
        ),
    ] = 16.0,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="MODEL",
            help="The model bundle that classifies: a folder, hf://org/name\\[@revision], gs:// or "
            "s3://. Default: the one in the package.",
            envvar="NEWSBEAM_MODEL",
            rich_help_panel=_PIPELINE,
        ),
    ] = None,
    runner: Annotated[
        Runner,
        typer.Option(
            "--runner",
            help="Beam's runner on this machine. PrismRunner keeps a core busy for itself, and Beam "
            "fetches it from the internet unless --prism_location says where it is.",
            envvar="NEWSBEAM_RUNNER",
            rich_help_panel=_PIPELINE,
        ),
    ] = Runner.FN_API,
    prism_location: Annotated[
        str | None,
        typer.Option(
            "--prism_location",
            metavar="FILE",
            help="The Prism program, for --runner PrismRunner. Default: Beam's own download.",
            envvar="NEWSBEAM_PRISM_LOCATION",
            rich_help_panel=_PIPELINE,
        ),
    ] = None,
) -> int:
    """Show news being categorized: broker, producer, pipeline and reader in one command.

    Sample news and some poison go through Kafka; every message has to come out once.

    Exit code 0 if so, 1 if one was lost or came out twice.
    """
    console = Console()
    if not is_terminal(console):
        console = Console(width=_PLAIN_WIDTH)
    console.print("[bold cyan]newsbeam demo[/] starts a broker and a pipeline …", highlight=False)
    with _errors_on(console):
        beam_args = [f"--runner={runner}"]
        if prism_location:
            beam_args.append(f"--prism_location={prism_location}")
        return _run(console, max(1, round(seconds * rate)), rate, model, beam_args)


def _run(console: Console, total: int, rate: float, model: str | None, beam_args: list[str]) -> int:
    # Beam takes seconds to import: `newsbeam --help` should not have to wait for it.
    from models.bundle import Bundle
    from pipeline.demo.broker import EmbeddedBroker
    from pipeline.demo.poison import POISON
    from pipeline.demo.session import CATEGORIZED, TOPICS, DemoError, Pipeline, Session
    from pipeline.demo.show import Show, ok, summary
    from pipeline.demo.traffic import mix, sample_news

    Bundle.load(model)  # a model that can't be used is said before anything starts
    with EmbeddedBroker() as broker:
        broker.create_topics(TOPICS)
        pipeline = Pipeline(*_pipeline(broker.bootstrap_servers, model, beam_args))
        topic = f"kafka://{broker.bootstrap_servers}/{CATEGORIZED}"
        try:
            with Show(console, "newsbeam demo") as show:
                show.say(f"to read along: newsbeam consume {topic} --follow")
                messages = mix(sample_news(), POISON, total)
                session = Session(broker, messages, rate, pipeline, show)
                with _first_interrupt_to(session):
                    totals = session.run()
        except DemoError as e:
            print(f"newsbeam: {e}", file=sys.stderr)
            return 1
    console.print()
    console.print(summary(totals))
    if not ok(totals):
        print("newsbeam: not every message came out exactly once", file=sys.stderr)
        return 1
    return 0


def _pipeline(
    servers: str, model: str | None, beam_args: list[str]
) -> tuple[Callable[[], None], Callable[[], None]]:
    """How to run the pipeline, and how to make it finish."""
    from pipeline.demo.session import CATEGORIZED, DEAD_LETTERS, FETCH_WAIT_MS, NEWS
    from pipeline.ends.settings import AT_LEAST_ONCE
    from pipeline.options import RunOptions
    from pipeline.run import beam_options, execute, start_prism
    from transforms.reading import drain

    options = RunOptions(
        source=f"kafka://{servers}/{NEWS}?group=newsbeam-demo&fetch_max_wait_ms={FETCH_WAIT_MS}",
        sink=f"kafka://{servers}/{CATEGORIZED}",
        dead_letters=f"kafka://{servers}/{DEAD_LETTERS}",
        model=model,
        # The embedded broker answers to transactions, but readers see them before they are committed.
        delivery=AT_LEAST_ONCE,
    )
    # Beam starts Prism from the main thread only, and the pipeline has one of its own; it takes the
    # Prism that runs, as long as somebody holds on to it.
    prism = start_prism(beam_options(beam_args))

    def run() -> None:
        _ = prism
        execute(options, beam_args)

    return run, drain


@contextmanager
def _errors_on(console: Console) -> Iterator[None]:
    """Prints what is logged above the screen rather than across it, and errors only.

    A failing step raises; what else Beam and Kafka's client warn of is no matter of a demo.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    handler = RichHandler(console=console, show_path=False, markup=False)
    handler.addFilter(NoTraceback())
    root.handlers[:] = [handler]
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.handlers[:], root.level = handlers, level


@contextmanager
def _first_interrupt_to(session: Session) -> Iterator[None]:
    """Makes the first Ctrl-C (or SIGTERM) end the demo in good order; the next one breaks it off."""

    def on_signal(number: int, frame: object) -> None:
        session.interrupt()
        signal.signal(number, signal.default_int_handler)

    before = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
