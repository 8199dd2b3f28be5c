"""`newsbeam evaluate`: the benchmark table of a model on a CSV file of labelled news."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from models.errors import ModelError
from models.evaluate import BATCH_SIZE, Evaluation
from models.evaluate import evaluate as evaluate_news
from models.groups import GroupFigures
from models.labelled_news import CsvError, read_csv
from models.plot import PlotError, check_plot
from models.plot import plot as draw
from models.reading import Reading
from pipeline.commands.model_options import CLASSIFIER_SETTINGS, load_classifier
from pipeline.flags import with_flags
from pipeline.terminal import is_terminal, output
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.files.archives import open_text
from transforms.files.paths import find_and_tell

#: The most rows of a table of groups.
MOST_GROUPS = 25


@with_flags(
    *CLASSIFIER_SETTINGS,
    only={
        "model",
        "max_length",
        "long_text",
        "window_tokens",
        "max_windows",
        "temperature",
        "text_clean_up",
    },
)
def evaluate(
    csv: Annotated[
        Path,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Labelled news: class,title,description without a header, as AG News comes, or a "
            "header with label and text, or label, title and description. Classes are numbers from "
            "1, or from 0 where one is 0, or names of labels.",
            envvar="NEWSBEAM_EVALUATE_CSV",
            rich_help_panel="Data",
        ),
    ],
    labels_from: Annotated[
        int | None,
        typer.Option(
            "--labels_from",
            metavar="0|1",
            min=0,
            max=1,
            help="The number of the first class. Default: as the numbers say; where they fit both (1 "
            "to 3 of four classes), the one with which more texts are right, and that is said.",
            envvar="NEWSBEAM_EVALUATE_LABELS_FROM",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            help="Classify only the first so many rows: faster, and less sure. Default: all.",
            envvar="NEWSBEAM_EVALUATE_LIMIT",
            rich_help_panel="Data",
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="COLUMN",
            help="Show accuracy for each value of this column, too: of a source, say. Default: by "
            "length only.",
            envvar="NEWSBEAM_EVALUATE_BY",
            rich_help_panel="Data",
            show_default=False,
        ),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Fit the temperature that makes the scores of these texts mean what they say, for "
            "the model's config.json, where they are read as --max_length, --long_text and so "
            "on say; take other texts than those to evaluate on. Default: off.",
            envvar="NEWSBEAM_EVALUATE_CALIBRATE",
            rich_help_panel="Scores",
        ),
    ] = False,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch_size",
            min=1,
            help="Rows of a step. It changes steps per second, and no other figure.",
            envvar="NEWSBEAM_EVALUATE_BATCH_SIZE",
            rich_help_panel="Model",
        ),
    ] = BATCH_SIZE,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print the figures as one JSON object. Default: off; tables.",
            envvar="NEWSBEAM_JSON",
            rich_help_panel="Output",
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE.png",
            help="Draw confusion matrix and reliability diagram into this file (.png, .pdf, .svg); "
            "needs pip install 'newsbeam\\[plot]'. Default: no picture.",
            envvar="NEWSBEAM_EVALUATE_PLOT",
            rich_help_panel="Output",
        ),
    ] = None,
    **given: Any,
) -> int:
    """Evaluate a model on labelled news: accuracy, loss, calibration, speed.

    Precision, recall and F1 are macro averages: the plain mean over the labels.
    """
    classifier = load_classifier(given)
    try:
        if plot is not None:
            check_plot(plot)
        news = read_csv(
            one_file(csv), classifier.labels(), limit, labels_from, by=by, open_file=open_text
        )
        with progress_bar() as progress:
            task = progress.add_task("Classifying", total=len(news))
            evaluation = evaluate_news(
                classifier,
                news,
                batch_size,
                lambda rows: progress.advance(task, rows),
                calibrate=calibrate,
            )
        if plot is not None:
            draw(evaluation, plot)
    except (CsvError, PlotError, PipelineFailure) as e:
        raise ConfigurationError(str(e)) from e
    except ModelError as e:
        print(f"newsbeam: {csv}: a row could not be classified: {e}", file=sys.stderr)
        return 1
    if evaluation.other_accuracy is not None:
        first = evaluation.labels_from or 0
        print(
            f"newsbeam: the labels fit numbers from 0 and from 1: read from {first} (accuracy "
            f"{evaluation.eval_accuracy:.4f}; from {1 - first} {evaluation.other_accuracy:.4f}); "
            "--labels_from decides",
            file=sys.stderr,
        )
    if as_json:
        print(evaluation.to_json())
    else:
        _show(evaluation, csv, by)
    if plot is not None:
        print(f"newsbeam: drew {plot}", file=sys.stderr)
    return 0


def one_file(name: Path) -> Path:
    """The file that a path or a pattern stands for."""
    files = find_and_tell(str(name))
    if len(files) > 1:
        raise CsvError(f"{name} stands for {len(files)} files, {files[0]} first: name one")
    return Path(files[0]) if files else name


def progress_bar() -> Progress:
    """A progress bar on stderr; nothing where that is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not is_terminal(console),
    )


def _show(evaluation: Evaluation, csv: Path, by: str | None) -> None:
    console = output()
    reading = Reading(
        evaluation.max_length,
        evaluation.long_text,
        evaluation.window_tokens,
        evaluation.max_windows,
    )
    console.print(
        Text(f"{evaluation.model} on {csv}: {evaluation.samples:,} texts, of each {reading}")
    )
    tables = [
        _summary(evaluation),
        _labels(evaluation),
        _confusion(evaluation),
        _groups("Tokens", evaluation.by_length.groups),
    ]
    if evaluation.by_model is not None:
        tables.append(_groups("Model", evaluation.by_model))
    if evaluation.by_value is not None:
        tables.append(_groups(by or "", evaluation.by_value))
    for table in tables:
        console.print()
        console.print(table)
    if evaluation.by_length.falls:
        console.print(
            "\nLonger texts are right less often, by more than chance: look at a smaller "
            + ("--max_length" if reading.max_windows == 1 else "--max_windows")
        )
    if evaluation.truncated:
        console.print(f"\n{evaluation.truncated:,} texts were longer than {reading.limit}")
    if evaluation.fitted_temperature is not None:
        console.print(f"\n{_temperature(evaluation.fitted_temperature)}")


def _temperature(fitted: float) -> str:
    from models.calibrate import at_a_bound

    if at_a_bound(fitted):
        # All right, or all wrong: such a number would make every score 1, or all the same.
        return (
            f"No temperature fits these texts (the search ended at {fitted:.4g}): they are too few, or "
            "all right or wrong; calibrate on more of them"
        )
    return f'For the model\'s config.json: "temperature": {fitted:.4f}'


def _summary(e: Evaluation) -> Table:
    low, high = e.accuracy_interval
    table = Table(title="Figures", title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column("", style="dim")
    for name, value, note in (
        ("eval_loss", f"{e.eval_loss:.5f}", "mean cross entropy"),
        ("eval_accuracy", f"{e.eval_accuracy:.5f}", f"95%: {low:.4f} to {high:.4f}"),
        ("eval_precision", f"{e.eval_precision:.5f}", "macro"),
        ("eval_recall", f"{e.eval_recall:.5f}", "macro"),
        ("eval_f1", f"{e.eval_f1:.5f}", "macro"),
        (
            "expected_calibration_error",
            f"{e.expected_calibration_error:.5f}",
            f"15 bins, temperature {e.temperature:g}",
        ),
        ("eval_runtime", f"{e.eval_runtime:.2f}", "seconds, without loading"),
        ("eval_samples_per_second", f"{e.eval_samples_per_second:.1f}", ""),
        ("eval_steps_per_second", f"{e.eval_steps_per_second:.2f}", f"{e.batch_size} rows a step"),
    ):
        table.add_row(name, value, note)
    return table


def _labels(e: Evaluation) -> Table:
    table = Table(title="Labels", title_justify="left")
    table.add_column("label")
    for name in ("precision", "recall", "f1", "support"):
        table.add_column(name, justify="right")
    for f in e.per_label:
        table.add_row(
            Text(f.label), f"{f.precision:.4f}", f"{f.recall:.4f}", f"{f.f1:.4f}", f"{f.support:,}"
        )
    return table


def _groups(by: str, groups: Sequence[GroupFigures]) -> Table:
    table = Table(title=f"By {by.lower()}", title_justify="left")
    table.add_column(by)
    for name in ("accuracy", "95%", "texts"):
        table.add_column(name, justify="right")
    for group in groups[:MOST_GROUPS]:
        low, high = group.accuracy_interval
        table.add_row(
            Text(group.name or "(none)"),
            f"{group.accuracy:.4f}",
            Text(f"{low:.4f} to {high:.4f}", "dim"),
            f"{group.samples:,}",
        )
    if rest := groups[MOST_GROUPS:]:
        table.add_row(f"{len(rest):,} more", "", "", f"{sum(g.samples for g in rest):,}")
    return table


def _confusion(e: Evaluation) -> Table:
    table = Table(title="Confusion: label (row), category given (column)", title_justify="left")
    table.add_column("")
    for label in e.labels:
        table.add_column(Text(label), justify="right")
    for i, row in enumerate(e.confusion):
        cells = [
            Text(f"{count:,}", "bold" if i == j else "dim" if not count else "")
            for j, count in enumerate(row)
        ]
        table.add_row(Text(e.labels[i]), *cells)
    return table
