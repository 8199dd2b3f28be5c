"""`newsbeam model train`: a bundle with labels of the user's own."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from models.export.packages import require
from models.labelled_news import CsvError
from pipeline.commands.model_options import load_plain
from pipeline.logs import tell
from pipeline.terminal import is_terminal, output
from transforms.errors import ConfigurationError
from transforms.files.archives import open_text

if TYPE_CHECKING:
    from training.own_report import Trained

#: An option of all that `newsbeam model` does.
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object. Default: off; a table.",
        envvar="NEWSBEAM_JSON",
        rich_help_panel="Output",
    ),
]
#: What only training needs.
PACKAGES = ("torch", "transformers", "safetensors", "onnx", "matplotlib", "tqdm")
#: The labels that a table names.
MOST_LABELS = 20


def train(
    news: Annotated[
        Path,
        typer.Argument(
            metavar="NEWS.csv",
            help="News with labels of your own: a header with label, and title and body (or "
            "description, or text); or label,title,text without one. 2 to 1,000 labels, each with 8 "
            "rows or more; hundreds of each are better.",
            show_default=False,
        ),
    ],
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="DIR",
            help="The folder to make. It may exist, but must be empty, or hold a run of the same that "
            "was stopped: that goes on.",
            envvar="NEWSBEAM_TRAIN_TO",
            rich_help_panel="Model",
            show_default=False,
        ),
    ],
    start: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="The model to train on: ag_news_mini, ag_news_small (2.7 times as slow, a little "
            "better), or one that this command made.",
            envvar="NEWSBEAM_TRAIN_FROM",
            rich_help_panel="Model",
        ),
    ] = "ag_news_mini",
    epochs: Annotated[
        float | None,
        typer.Option(
            "--epochs",
            metavar="NUMBER",
            help="How often each row is seen: time goes with it. Default: 3 to 15, more where there "
            "are few rows, so that 24,000 are seen; at most 6 for the labels that the model has.",
            envvar="NEWSBEAM_TRAIN_EPOCHS",
            rich_help_panel="Training",
            show_default=False,
        ),
    ] = None,
    held_out: Annotated[
        float,
        typer.Option(
            "--held_out",
            metavar="SHARE",
            min=0.05,
            max=0.5,
            help="The share of the rows of each label that doesn't train, at most 4,000 in all: half "
            "of them choose the weights and calibrate the scores, half only measure.",
            envvar="NEWSBEAM_TRAIN_HELD_OUT",
            rich_help_panel="Training",
        ),
    ] = 0.2,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            help="What is drawn at random: which rows are held out, and their order. The same seed "
            "gives the same model on the same machine.",
            envvar="NEWSBEAM_TRAIN_SEED",
            rich_help_panel="Training",
        ),
    ] = 0,
    as_json: AsJson = False,
) -> int:
    """Train a model on news with labels of your own, and make a bundle of it.

    Needs `pip install 'newsbeam[train]'`. A run that was stopped, or killed, goes on when the same
    command is given again. What it was measured on is in the README.md that it writes.
    """
    if epochs is not None and not 0 < epochs <= 1000:
        raise ConfigurationError(f"--epochs {epochs:g}: give a number above 0, up to 1000")
    begin_with = load_plain(start)
    require(PACKAGES, "model train", "train")
    from training import own

    reporter = _Reporter()
    try:
        trained = own.train(
            news.expanduser(),
            begin_with,
            to,
            reporter,
            epochs=epochs,
            seed=seed,
            held_out=held_out,
            open_file=open_text,
        )
    except CsvError as e:
        raise ConfigurationError(str(e)) from e
    except KeyboardInterrupt:
        tell(f"stopped{reporter.place()}; the same command goes on from there")
        return 130
    if as_json:
        print(json.dumps(values(trained)))
    else:
        _show(trained, news)
    return 0


class _Reporter:
    """Tells on stderr how it goes: a bar with loss, accuracy and time left on a terminal, else lines."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._terminal = is_terminal(self._console)
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._stopped = False
        self._began: tuple[int, float] | None = None
        self._step = self._steps = 0
        self._accuracy = ""

    def place(self) -> str:
        """How far the run is, for a line."""
        return f" at step {self._step:,} of {self._steps:,}" if self._steps else ""

    def say(self, text: str) -> None:
        tell(text)

    @contextmanager
    def doing(self, text: str) -> Iterator[None]:
        if self._terminal:
            with self._console.status(Text(text)):
                yield
        else:
            yield

    @contextmanager
    def learning(self) -> Iterator[None]:
        with self._stopping(), self._bar():
            yield

    def stepped(self, step: int, steps: int, loss: float) -> None:
        if self._began is None:
            self._began = step, time.monotonic()
        self._step, self._steps = step, steps
        if self._progress is not None and self._task is not None:
            shown = f"loss {loss:.3f}{self._accuracy}" if loss else ""
            self._progress.update(self._task, completed=step, total=steps, figures=shown)
        if self._stopped:
            raise KeyboardInterrupt

    def measured(self, row: Mapping[str, float]) -> None:
        accuracy = row["held_out_accuracy"]
        self._accuracy = f", accuracy {accuracy:.3f} held out"
        if self._progress is not None or not row["step"]:
            return
        tell(
            f"step {row['step']:,.0f}{f' of {self._steps:,}' if self._steps else ''}: loss "
            f"{row['train_loss']:.3f}, held out: loss {row['held_out_loss']:.3f}, accuracy "
            f"{accuracy:.3f}{self._left(row['step'])}"
        )

    def _left(self, step: float) -> str:
        if self._began is None or step >= self._steps or step <= self._began[0]:
            return ""
        seconds = (time.monotonic() - self._began[1]) / (step - self._began[0])
        return f"; {seconds * (self._steps - step) / 60:.1f} min left"

    @contextmanager
    def _bar(self) -> Iterator[None]:
        if not self._terminal:
            yield
            return
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._console,
            transient=True,
        ) as self._progress:
            self._task = self._progress.add_task("Training", total=None, figures="")
            yield
        self._progress = None

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """Lets the first Ctrl-C end the step that is being made; the second ends at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            self._stopped = True
            signal.signal(signal.SIGINT, before)

        before = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def values(trained: Trained) -> dict[str, object]:
    """What was made, as values for JSON."""
    found, facts = trained.evaluation, trained.facts
    return {
        "model": trained.bundle.model_id,
        "path": str(trained.bundle.path),
        "labels": list(facts.labels),
        "rows": facts.rows,
        "repeated": facts.repeated,
        "contradicted": facts.contradicted,
        "near_duplicates": facts.near,
        "trained": facts.trained,
        "calibrating": facts.calibrating,
        "reporting": facts.reporting,
        "epochs": trained.epochs,
        "seconds": round(trained.seconds, 1),
        "accuracy": found.eval_accuracy,
        "accuracy_interval": list(found.accuracy_interval),
        "float_accuracy": trained.float_accuracy,
        "precision": found.eval_precision,
        "recall": found.eval_recall,
        "f1": found.eval_f1,
        "loss": found.eval_loss,
        "expected_calibration_error": found.expected_calibration_error,
        "per_label": [
            {"label": f.label, "precision": f.precision, "recall": f.recall, "f1": f.f1}
            | {"support": f.support}
            for f in found.per_label
        ],
    }


def _show(trained: Trained, news: Path) -> None:
    found, facts = trained.evaluation, trained.facts
    console = output()
    low, high = found.accuracy_interval
    figures = Table(
        title=f"On {facts.reporting:,} rows of {news.name} that were held out", title_justify="left"
    )
    figures.add_column("metric")
    figures.add_column("value", justify="right")
    figures.add_column("", style="dim")
    for name, value, note in (
        ("accuracy", found.eval_accuracy, f"95%: {low:.4f} to {high:.4f}"),
        ("accuracy in float", trained.float_accuracy, "before int8"),
        ("f1", found.eval_f1, "macro"),
        ("loss", found.eval_loss, "mean cross entropy"),
        ("calibration error", found.expected_calibration_error, "15 bins"),
    ):
        figures.add_row(name, f"{value:.4f}", note)
    console.print(figures)
    labels = Table(title="Labels", title_justify="left")
    labels.add_column("label")
    for name in ("precision", "recall", "f1", "support"):
        labels.add_column(name, justify="right")
    shown = found.per_label
    if len(shown) > MOST_LABELS:
        shown = tuple(sorted(shown, key=lambda each: each.f1)[:MOST_LABELS])
        labels.title = f"The {MOST_LABELS} labels that it knows least, of {len(found.per_label):,}"
    for f in shown:
        labels.add_row(
            Text(f.label), f"{f.precision:.4f}", f"{f.recall:.4f}", f"{f.f1:.4f}", f"{f.support:,}"
        )
    console.print(labels)
    console.print(
        Text(
            f"{trained.bundle.model_id} in {trained.bundle.path}, in {trained.seconds / 60:.1f} min; "
            f"README.md there is its card"
        )
    )
