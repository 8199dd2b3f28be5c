"""`newsbeam demo`: shows news being categorized, with a broker of its own; needs nothing else."""

from __future__ import annotations

import enum
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from pipeline.logs import NoTraceback
from pipeline.terminal import is_terminal
from transforms.errors import ConfigurationError

if TYPE_CHECKING:
    from pipeline.demo.bus import Bus, Outgoing
    from pipeline.demo.session import Session


class Broker(enum.StrEnum):
    """What news goes through."""

    KAFKA = "kafka"
    PUBSUB = "pubsub"


class Runner(enum.StrEnum):
    """The runners of Beam that run here."""

    FN_API = "FnApiRunner"
    PRISM = "PrismRunner"


#: What starts, for people.
_NAMES = {Broker.KAFKA: "a broker", Broker.PUBSUB: "Google's fake Pub/Sub"}
_TRAFFIC = "Traffic"
_PIPELINE = "Pipeline"
#: Columns of the plain lines where there is no terminal.
_PLAIN_WIDTH = 120


def demo(
    broker: Annotated[
        Broker,
        typer.Option(
            "--with",
            help="What news goes through: Kafka, on an embedded broker; or Google's fake Pub/Sub, "
            "which is built with Go the first time, in a minute or so.",
            envvar="NEWSBEAM_DEMO_WITH",
            rich_help_panel=_TRAFFIC,
        ),
    ] = Broker.KAFKA,
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

    Sample news and some poison go through Kafka, or Pub/Sub; every message has to come out once.

    Exit code 0 if so, 1 if one was lost or came out twice.
    """
    console = Console()
    if not is_terminal(console):
        console = Console(width=_PLAIN_WIDTH)
    console.print(
        f"[bold cyan]newsbeam demo[/] starts {_NAMES[broker]} and a pipeline …", highlight=False
    )
    # The core of gRPC, which Pub/Sub's clients and Prism's use, writes to stderr, past all logging.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    with _terminated_as_interrupted(), _errors_on(console):
        beam_args = [f"--runner={runner}"]
        if prism_location:
            beam_args.append(f"--prism_location={prism_location}")
        return _run(console, broker, max(1, round(seconds * rate)), rate, model, beam_args)


def _run(
    console: Console,
    broker: Broker,
    total: int,
    rate: float,
    model: str | None,
    beam_args: list[str],
) -> int:
    # Beam takes seconds to import: `newsbeam --help` should not have to wait for it.
    from models.bundle import Bundle
    from pipeline.demo.bus import DemoError
    from pipeline.demo.session import Pipeline, Session
    from pipeline.demo.show import Show, ok, summary

    Bundle.load(model)  # a model that can't be used is said before anything starts
    try:
        with _bus(broker, console) as bus:
            pipeline = Pipeline(*_pipeline(bus, model, beam_args))
            with Show(console, "newsbeam demo") as show:
                show.say(f"to read along: {bus.read_along}")
                session = Session(bus, _messages(bus, total, show.say), rate, pipeline, show)
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


def _bus(broker: Broker, console: Console) -> Bus:
    """The broker, not started."""
    if broker is Broker.KAFKA:
        from pipeline.demo.kafka_bus import KafkaBus

        return KafkaBus()
    try:
        from pipeline.demo.pubsub_bus import PubSubBus
    except ImportError:
        raise ConfigurationError(
            "--with pubsub needs Google's client: pip install 'newsbeam[pubsub]'"
        ) from None

    def building() -> None:
        console.print("builds the fake with Go, which takes a minute, once …", highlight=False)

    return PubSubBus(building)


def _messages(bus: Bus, total: int, say: Callable[[str], None]) -> Sequence[Outgoing]:
    """What is produced: news, and the poison that the broker can hold; what is left out is said."""
    from pipeline.demo.bus import Outgoing
    from pipeline.demo.poison import POISON
    from pipeline.demo.traffic import mix, sample_news

    poison = []
    for p in POISON:
        if (why := bus.refusal(Outgoing(p.value, p.key))) is None:
            poison.append(p)
        else:
            say(f"left out of the poison: {p.name}. {why}")
    return mix(sample_news(), poison, total)


def _pipeline(
    bus: Bus, model: str | None, beam_args: list[str]
) -> tuple[Callable[[], None], Callable[[], None]]:
    """How to run the pipeline, and how to make it finish."""
    from pipeline.ends.settings import AT_LEAST_ONCE
    from pipeline.options import RunOptions
    from pipeline.run import beam_options, execute
    from pipeline.runners.kinds import runner_of
    from transforms.reading import drain

    options = RunOptions(
        source=bus.source,
        sink=bus.sink,
        dead_letters=bus.dead_letters,
        model=model,
        # The embedded broker answers to transactions, but readers see them before they are committed.
        delivery=AT_LEAST_ONCE,
    )
    # Beam starts Prism from the main thread only, and the pipeline has one of its own; it takes the
    # one that runs, as long as somebody holds on to it.
    parsed = beam_options(beam_args)
    server = runner_of(parsed).server(parsed)

    def run() -> None:
        _ = server
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
def _terminated_as_interrupted() -> Iterator[None]:
    """Makes SIGTERM an interrupt, so that what was started is stopped."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
