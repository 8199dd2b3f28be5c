"""The command line of the chaos runs, and their table."""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tests.chaos.run import (
    AT_LEAST_ONCE,
    EXACTLY_ONCE,
    FLINK,
    KAFKA,
    PUBSUB,
    ChaosRun,
    Plan,
    Result,
)
from tests.servers.cache import Unavailable

RUNNERS = ("FnApiRunner", "PrismRunner")
DELIVERIES = (EXACTLY_ONCE, AT_LEAST_ONCE)
BOTH = "both"
#: Seconds between two lines where there is no terminal.
LINE_EVERY = 10.0


class Count:
    """A live line on a terminal; elsewhere a line now and then."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True) if console.is_terminal else None
        self._next = 0.0

    def __enter__(self) -> Count:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, line: str) -> None:
        """Shows a line."""
        if self._live:
            self._live.update(Text(line))
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + LINE_EVERY
            print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    add = parser.add_argument
    add("--seed", type=int, help="makes the order of the faults again (default: random)")
    add(
        "--runner",
        choices=(*RUNNERS, BOTH, FLINK),
        default=BOTH,
        help="a stand-alone Flink, or ours",
    )
    add("--delivery", choices=(*DELIVERIES, BOTH), default=BOTH)
    add("--source", choices=(KAFKA, PUBSUB), default=KAFKA, help="Pub/Sub is Google's fake")
    add("--sink", choices=(KAFKA, PUBSUB), help="that of dead letters, too (default: as --source)")
    add("--records", type=int, default=30_000, help="messages of a run, at least (default: 30000)")
    add(
        "--kills",
        type=int,
        default=20,
        help="kill -9 of the pipeline; on Flink of a task manager, an SDK process, the worker pool, or "
        "two of them (default: 20)",
    )
    add("--broker-kills", type=int, default=5, help="kill -9 of the broker (default: 5)")
    add("--pauses", type=int, default=1, help="SIGSTOP of the broker for 20 s (default: 1)")
    add("--brokers", type=int, choices=(1, 3), default=1, help="brokers (default: 1)")
    add(
        "--rolling-restarts",
        type=int,
        help="restarts of all brokers, one after the other (default: 2 where there are three)",
    )
    add(
        "--hot",
        type=float,
        default=0.0,
        help="share of the messages that go to one partition (default: 0; 0.8, say)",
    )
    add(
        "--handovers",
        type=int,
        default=1,
        help="two instances at once (default: 1; none on Flink, which goes on trying)",
    )
    add(
        "--refuse-dead-letters",
        type=int,
        help="times that the broker refuses writes to the dead letters (default: 1; brokers that have "
        "others don't start with the authorizer that this needs)",
    )
    add("--directory", type=Path, help="keeps logs and the broker's data there")
    return parser.parse_args(args)


def plans(options: argparse.Namespace, seed: int) -> list[Plan]:
    # It asks for Beam's version, and Beam logs as it is imported.
    from tests.servers.prism import prism_binary

    runners = RUNNERS if options.runner == BOTH else (options.runner,)
    sink = options.sink or options.source
    deliveries = DELIVERIES if options.delivery == BOTH else (options.delivery,)
    if PUBSUB in {options.source, sink}:
        # Nothing else is to be had there.
        deliveries = (AT_LEAST_ONCE,)
    several = options.brokers > 1
    rolling, refusals = options.rolling_restarts, options.refuse_dead_letters
    rolling = (2 if several else 0) if rolling is None else rolling
    refusals = (0 if several else 1) if refusals is None else refusals
    brokers = KAFKA in {options.source, sink}
    faults = {
        "kills": options.kills,
        # The fake has all in its memory: killed, it would lose it.
        "broker_kills": options.broker_kills if brokers else 0,
        "pauses": options.pauses,
        "rolling_restarts": rolling if brokers else 0,
        "handovers": options.handovers,
        "refuse_dead_letters": refusals,
    }
    return [
        Plan(
            runner,
            delivery,
            options.records,
            faults | ({"handovers": 0} if runner == FLINK else {}),
            seed,
            (f"--prism_location={prism_binary()}",) if runner == "PrismRunner" else (),
            options.brokers,
            options.hot,
            options.source,
            sink,
        )
        for delivery in deliveries
        for runner in runners
    ]


def table(results: Sequence[Result], seed: int) -> Table:
    # All of them go one way.
    shown = Table(title=f"newsbeam under fire, {results[0].plan.path}, seed {seed}")
    shown.add_column("runner")
    shown.add_column("delivery")
    headings = (
        *("records", "kills", "broker\nkills", "pauses", "rolling\nrestarts", "hand-\novers"),
        *("refusals", "ends"),
        *("outputs", "dead\nletters", "lost", "doubled", "wrong", "duration"),
    )
    for heading in headings:
        shown.add_column(heading, justify="right")
    for result in results:
        v, faults = result.verdict, result.inflicted
        books = (v.outputs, v.dead_letters, v.lost, v.doubled, v.wrong) if v else ("?",) * 5
        numbers = [result.records, *(faults[f] for f in result.plan.faults), result.restarts]
        minutes, seconds = divmod(round(result.seconds), 60)
        cells = [f"{n:,}" if isinstance(n, int) else n for n in (*numbers, *books)]
        style = None if result.passed else "bold red"
        shown.add_row(
            *(
                result.plan.runner,
                result.plan.delivery,
                *cells,
                f"{minutes}:{seconds:02}",
            ),
            style=style,
        )
    return shown


def main(args: Sequence[str] | None = None) -> int:
    options = parse(args)
    # Clients of a broker that is killed have much to say.
    logging.basicConfig(level=logging.CRITICAL)
    # What was started is stopped on the way out, after SIGTERM too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    console = Console() if sys.stdout.isatty() else Console(width=160)
    directory = options.directory or Path(tempfile.mkdtemp(prefix="newsbeam-chaos-"))
    print(f"seed {seed}: make it again with --seed {seed}; logs in {directory}", flush=True)
    results: list[Result] = []
    try:
        for plan in plans(options, seed):
            with Count(console) as count:
                folder = directory / plan.name.replace(", ", "-").replace(" ", "-")
                results.append(ChaosRun(plan, folder, count).run())
            result = results[-1]
            verdict = "held" if result.passed else "FAILED"
            print(f"{plan.name}: {verdict} after {result.seconds:.0f} s", flush=True)
            examples = result.verdict.examples if result.verdict else ()
            for complaint in (*result.complaints, *examples):
                print(f"  {complaint}", flush=True)
    except Unavailable as e:
        print(f"chaos: {e}", file=sys.stderr)
        return 2
    finally:
        if results:
            console.print(table(results, seed))
    passed = all(result.passed for result in results)
    if passed and options.directory is None:
        shutil.rmtree(directory)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
