"""From any source to any sink, as users run it: what is lost, what is doubled, what is wrong.

AG News messages with poison among them go each path by `newsbeam run`; with `--kills`, it is killed in
mid-stream (kill -9, with all that it started) and started again. Then every message is looked for among
what came out, and each category is compared with what the model says of the text by itself, as
`newsbeam evaluate` asks it. Pub/Sub is Google's fake, Kafka Apache's where it can be had.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import news
from benchmarks.brokers import broker
from benchmarks.places import (
    PARTITIONS,
    From,
    FromFiles,
    FromKafka,
    FromPubSub,
    To,
    ToFolder,
    ToKafka,
    ToPubSub,
    topics_of_sink,
)
from models.bundle import Bundle
from models.classifier import TextClassifier
from models.labelled_news import read_csv
from pipeline.demo.poison import POISON
from tests.chaos.instance import Instance
from tests.servers.prism import prism_binary
from tests.servers.pubsub import PubSubServer
from transforms.classify import BATCH_SIZE
from transforms.records import CategorizedItem, Outcome

RUNNERS = ("FnApiRunner", "PrismRunner")
PATHS = (
    *("pubsub-pubsub", "kafka-parquet", "kafka-pubsub", "pubsub-kafka"),
    *("files-pubsub", "pubsub-jsonl"),
)
#: Folders that are killed have to make files in mid-stream, which minutes are too long for.
FOLDERS = {
    "parquet": "format=parquet&partition_by=category,hour",
    "jsonl": "format=jsonl.gz&partition_by=category",
}
OFTEN = "&every=2s"
#: What a killed reader of Pub/Sub held comes again when its lease has ended: a minute later.
HELD = ("--max_outstanding=500",)
#: Where the kills fall, as shares of the messages.
FIRST_KILL, LAST_KILL = 0.02, 0.85
#: With nothing new for this long, what is missing is lost, in seconds.
PATIENCE = 180.0


@dataclass(frozen=True)
class Books:
    """What came out against what went in.

    Attributes:
        sent: Messages.
        items: Categorized items.
        letters: Dead letters.
        lost: Messages that came out nowhere.
        doubled: Outcomes whose message was out already.
        wrong: Items of another category than the model gives their text; outcomes of the wrong kind, or
            of no message.
    """

    sent: int
    items: int
    letters: int
    lost: int
    doubled: int
    wrong: int

    @property
    def good(self) -> bool:
        """Whether nothing is lost, and nothing wrong."""
        return not self.lost and not self.wrong


class Input:
    """What goes in: articles, and poison in even distances.

    Args:
        rows: The articles.
        categories: What the model says of each, by id.
        poison: Messages that have to be dead letters, each another.
    """

    def __init__(
        self, rows: Sequence[news.Row], categories: dict[str, str], poison: Sequence[bytes]
    ) -> None:
        self._categories = categories
        self._poison = set(poison)
        self.values = [row.message() for row in rows]
        for n, value in enumerate(poison):
            self.values.insert((2 * n + 1) * len(rows) // (2 * len(poison)), value)

    def books(self, found: Sequence[Outcome]) -> Books:
        """Compares what came out with it."""
        ids = Counter[str]()
        values = Counter[bytes]()
        wrong = 0
        for outcome in found:
            if isinstance(outcome, CategorizedItem):
                ids[outcome.id] += 1
                wrong += self._categories.get(outcome.id) != outcome.category
            else:
                value = outcome.message.value or b""
                values[value] += 1
                wrong += value not in self._poison
        items, letters = ids.total(), values.total()
        lost = len(self._categories.keys() - ids) + len(self._poison - values.keys())
        doubled = items - len(ids) + letters - len(values)
        return Books(len(self.values), items, letters, lost, doubled, wrong)


def inputs(options: argparse.Namespace, lines: bool) -> Input:
    """What goes in; of poison, where lines are wanted, what is one."""
    rows = news.rows(options.csv, options.rows)
    poison = [p.value for p in POISON if p.expected == "dead_letter"]
    if lines:
        poison = [value for value in poison if value.strip() and len(value.splitlines()) == 1]
    return Input(rows, options.categories, poison)


def categories(path: Path, count: int | None) -> dict[str, str]:
    """What the model says of each row, asked as `newsbeam evaluate` does."""
    classifier = TextClassifier(Bundle.load())
    texts = read_csv(path, classifier.labels(), count).texts
    said = [prediction.category for prediction in classifier.predict(list(texts))]
    return {row.id: said[i % len(said)] for i, row in enumerate(news.rows(path, count))}


@contextlib.contextmanager
def places(path: str, servers: str, often: bool) -> Iterator[tuple[From, To, Path]]:
    """Both ends of a path, and a folder of their own."""
    source, _, sink = path.partition("-")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = PubSubServer()
        stack.callback(server.close)
        os.environ["PUBSUB_EMULATOR_HOST"] = server.address
        name = path if not often else f"{path}-kills"
        froms = {
            "pubsub": lambda: FromPubSub(server, f"{name}-news"),
            "kafka": lambda: FromKafka(servers, f"{name}-news"),
            "files": lambda: FromFiles(folder),
        }
        tos = {
            "pubsub": lambda: ToPubSub(server, f"{name}-out"),
            "kafka": lambda: ToKafka(servers, f"{name}-out"),
        }
        if sink in FOLDERS:
            to: To = ToFolder(folder, FOLDERS[sink], OFTEN if often else "")
        else:
            to = tos[sink]()
        yield froms[source](), to, folder


class Run:
    """One path, to its end.

    Args:
        given: What goes in.
        ends: Where from, where to.
        args: Further options of `newsbeam run`.
        folder: Where logs go.
    """

    def __init__(
        self, given: Input, ends: tuple[From, To], args: Sequence[str], folder: Path
    ) -> None:
        self._given, (self._from, self._to), self._folder = given, ends, folder
        self._args = [
            *("--source", self._from.uri, "--sink", self._to.uri),
            *("--dead_letters", self._to.letters, *args),
        ]
        self._starts = 0

    def straight(self) -> tuple[Books, float]:
        """Runs once; gives the books, and rows per second."""
        self._from.put(self._given.values)
        run = self._start(*(["--stop_at_end"] if self._from.endless else []))
        while run.code is None:
            time.sleep(0.1)
        self._ended(run)
        found = self._to.found()
        times = [o.processed_time.timestamp() for o in found if isinstance(o, CategorizedItem)]
        # The first batch was worked on before the first output.
        rate = (len(times) - BATCH_SIZE) / (max(times) - min(times))
        return self._given.books(found), rate

    def killed(self, kills: int, rng: random.Random) -> Books:
        """Runs over kills at random moments."""
        self._from.put(self._given.values)
        total = len(self._given.values)
        moments = sorted(rng.uniform(FIRST_KILL, LAST_KILL) * total for _ in range(kills))
        run = self._start()
        for moment in moments:
            least = max(moment, len(self._to.found()) + 1)
            self._wait(run, lambda least=least: len(self._to.found()) >= least)
            time.sleep(rng.uniform(0.0, 0.5))
            if run.code is not None:
                sys.exit(f"it has ended with {run.code} before it was killed: more rows are needed")
            run.kill()
            run = self._start()
        if self._from.endless:
            self._wait(run, lambda: not self._given.books(self._to.found()).lost)
            run.terminate()
        self._wait(run, lambda: run.code is not None)
        self._ended(run)
        return self._given.books(self._to.found())

    def _start(self, *args: str) -> Instance:
        self._starts += 1
        return Instance([*self._args, *args], self._folder / f"newsbeam-{self._starts}.log")

    def _wait(self, run: Instance, condition: Callable[[], bool]) -> None:
        """Waits for a condition, as long as something comes out."""
        count, since = -1, time.monotonic()
        while not condition():
            if (now := len(self._to.found())) != count:
                count, since = now, time.monotonic()
            if run.code not in {None, 0} or time.monotonic() - since > PATIENCE:
                print(run.said()[-3000:], file=sys.stderr)
                print(f"stuck with {self._given.books(self._to.found())}", file=sys.stderr)
                return
            time.sleep(0.05)

    def _ended(self, run: Instance) -> None:
        said = run.said()
        if run.code or "Traceback" in said:
            run.kill()
            sys.exit(f"newsbeam run ended with {run.code}:\n{said[-3000:]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, default=news.TEST_CSV, help="AG News test file")
    parser.add_argument("--rows", type=int, default=7600, help="articles (default: 7600)")
    parser.add_argument("--runner", choices=RUNNERS, default="FnApiRunner", help="Beam runner")
    parser.add_argument("--path", choices=PATHS, nargs="+", default=PATHS[:4], help="which way")
    parser.add_argument("--kills", type=int, default=0, help="kill -9 in mid-stream (default: 0)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--broker", choices=["kafka", "embedded"], default="kafka")
    options, args = parser.parse_known_args()
    options.categories = categories(options.csv, options.rows)
    args.append(f"--runner={options.runner}")
    if options.runner == "PrismRunner":
        args.append(f"--prism_location={prism_binary()}")
    table = Table(title=f"{options.rows:,} articles, {options.runner}, seed {options.seed}")
    for heading in ("path", "kills", "sent", "items", "dead letters", "lost", "doubled", "wrong"):
        table.add_column(heading, justify="left" if heading == "path" else "right")
    table.add_column("rows/s", justify="right")
    name = [f"{path}-kills" if options.kills else path for path in options.path]
    topics = {f"{n}-news": PARTITIONS for n in name}
    topics |= {topic: PARTITIONS for n in name for topic in topics_of_sink(f"{n}-out")}
    good = True
    with broker(topics, options.broker) as servers:
        for path in options.path:
            rng = random.Random(f"{options.seed} {path}")
            began = time.monotonic()
            with places(path, servers, bool(options.kills)) as (source, sink, folder):
                held = HELD if options.kills and path.startswith("pubsub") else ()
                given = inputs(options, path.startswith("files"))
                run = Run(given, (source, sink), [*args, *held], folder)
                rate = "-"
                if options.kills:
                    books = run.killed(options.kills, rng)
                else:
                    books, found = run.straight()
                    rate = f"{found:.0f}"
            good = good and books.good
            print(f"{path}: {books}, {rate} rows/s, {time.monotonic() - began:.0f} s", flush=True)
            numbers = (books.sent, books.items, books.letters, books.lost, books.doubled)
            cells = [f"{n:,}" for n in (options.kills, *numbers, books.wrong)]
            table.add_row(path, *cells, rate)
    Console(width=100).print(table)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
