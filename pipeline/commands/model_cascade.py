"""`newsbeam model cascade`: a cheap model, and a full one where it is not sure."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from models.bundle import Bundle, in_turn
from models.choose_cascade import (
    CANDIDATES,
    Curve,
    Figures,
    NoScoreError,
    Point,
    ask,
    draw_curve,
    targets_of,
)
from models.errors import ModelError
from models.export.cascade import write_cascade
from models.export.target import check_new
from models.labelled_news import CsvError, read_csv
from models.plot import PlotError, check_plot
from models.plot_cascade import plot_cascade
from pipeline.commands.evaluate import one_file, progress_bar
from pipeline.commands.model_options import load_plain
from pipeline.commands.model_train import AsJson
from pipeline.logs import tell
from pipeline.terminal import output
from transforms.errors import ConfigurationError
from transforms.failures import PipelineFailure
from transforms.files.archives import open_text

#: Scores that the table has, beside the one that was chosen.
SHOWN = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.999)
_CHOSEN = "chosen"


def cascade(
    cheap: Annotated[
        str,
        typer.Argument(
            metavar="CHEAP",
            help="The model that is asked about every text: a folder, an ONNX file in one, "
            "hf://org/name\\[@revision], gs://bucket/folder, s3://bucket/folder, or one of those that "
            "come with newsbeam.",
            show_default=False,
        ),
    ],
    full: Annotated[
        str,
        typer.Argument(
            metavar="FULL",
            help="The model that is asked where CHEAP is not sure: of the same labels, with the same "
            "tokenizer.",
            show_default=False,
        ),
    ],
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR",
            help="The folder to make. It may exist, but must be empty. Folders of this machine are "
            "copied into it; other models are named. Default: none; the figures are shown.",
            show_default=False,
        ),
    ] = None,
    on: Annotated[
        Path | None,
        typer.Option(
            "--on",
            metavar="FILE",
            help="Labelled news to choose the score on, as `newsbeam evaluate --csv` takes it: some "
            "thousands that trained neither model, and others than those to evaluate on.",
            envvar="NEWSBEAM_CASCADE_ON",
            rich_help_panel="Score",
            show_default=False,
        ),
    ] = None,
    loss: Annotated[
        float,
        typer.Option(
            "--loss",
            metavar="SHARE",
            min=0,
            max=1,
            help="What FULL's accuracy and its calibration error may each be worse by. Chosen is the "
            "lowest score from which on neither is worse by more, a standard error included: lower "
            "ones that look as good are so by chance.",
            envvar="NEWSBEAM_CASCADE_LOSS",
            rich_help_panel="Score",
        ),
    ] = 0.001,
    score: Annotated[
        float | None,
        typer.Option(
            "--score",
            min=0,
            max=1,
            help="The score from which on CHEAP's answer stands; of a multi-label model each label's "
            "is to be as near to 0 or 1. With --on it is measured. Default: chosen by --loss.",
            envvar="NEWSBEAM_CASCADE_SCORE",
            rich_help_panel="Score",
            show_default=False,
        ),
    ] = None,
    labels_from: Annotated[
        int | None,
        typer.Option(
            "--labels_from",
            metavar="0|1",
            min=0,
            max=1,
            help="The number of the first class. Default: as the numbers say; where they fit both, the "
            "one with which FULL is right more often, and that is said.",
            envvar="NEWSBEAM_CASCADE_LABELS_FROM",
            rich_help_panel="Score",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot",
            metavar="FILE.png",
            help="Draw accuracy and calibration error against cost into this file (.png, .pdf, .svg); "
            "needs pip install 'newsbeam\\[plot]'. Default: no picture.",
            envvar="NEWSBEAM_CASCADE_PLOT",
            rich_help_panel="Output",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Make a cascade: a cheap model, and a full one that is asked where the cheap one is not sure.

    Both classify labelled news, which shows for every score what a cascade would cost and lose.
    """
    _check_options(target, on, score, plot)
    models = [(named, load_plain(named)) for named in (cheap, full)]
    (_, first), (_, second) = models
    if first.hash == second.hash:
        raise ConfigurationError(f"{cheap} and {full} are the same model; name two")
    both = in_turn(target or Path("cascade"), [(first, 0.0), (second, 0.0)])
    if target is not None:
        check_new(target)
    curve: Curve | None = None
    chosen: Point | None = None
    problem: NoScoreError | None = None
    if on is not None:
        try:
            curve = _measured(both, on, labels_from, score, plot)
            chosen = curve.choose(loss) if score is None else curve.at(score)
        except NoScoreError as e:
            problem = e
        except (CsvError, PlotError, PipelineFailure) as e:
            raise ConfigurationError(str(e)) from e
        except ModelError as e:
            tell(f"{on}: a row could not be classified: {e}")
            return 1
    made: Bundle | None = None
    if target is not None and problem is None:
        score = chosen.min_score if chosen is not None else score
        made = write_cascade(target, models, score or 0.0)
    if as_json:
        print(json.dumps(_values(target, made, curve, chosen)))
    else:
        if curve is not None and on is not None:
            _show(curve, chosen, on)
        if made is not None:
            output().print(Text(f"{made.model_id} in {target}"))
    if curve is not None and plot is not None:
        try:
            plot_cascade(curve, chosen, plot)
        except PlotError as e:
            raise ConfigurationError(str(e)) from e
        tell(f"drew {plot}")
    if problem is not None:
        raise ConfigurationError(f"--loss {loss:g}: {problem}") from problem
    return 0


def _check_options(
    target: Path | None, on: Path | None, score: float | None, plot: Path | None
) -> None:
    """Refuses options that leave nothing to do, or nothing to do it with.

    Raises:
        ConfigurationError: The message names what is missing.
    """
    if on is None and score is None:
        raise ConfigurationError(
            "model cascade: give --on FILE, labelled news to choose the score on, or --score"
        )
    if on is None and plot is not None:
        raise ConfigurationError(f"--plot {plot}: there is nothing to draw; give --on FILE, too")
    if on is None and target is None:
        raise ConfigurationError(
            f"--score {score:g}: there is nothing to do; name a folder to make, or give --on FILE"
        )


def _measured(
    both: Bundle, on: Path, labels_from: int | None, score: float | None, plot: Path | None
) -> Curve:
    """Has both models classify labelled news."""
    if both.multi_label:
        raise ConfigurationError(
            f"--on {on}: these models give a text several labels or none, and labelled news has one "
            "each; give --score instead"
        )
    if plot is not None:
        check_plot(plot)
    news = read_csv(one_file(on), both.labels, labels_from=labels_from, open_file=open_text)
    with progress_bar() as progress:
        task = progress.add_task("Classifying", total=len(news))
        cheap, full = ask(both, news.texts, lambda texts: progress.advance(task, texts))
    targets, first = targets_of(news, full)
    if news.other_targets is not None:
        tell(f"the labels fit numbers from 0 and from 1: read from {first}; --labels_from decides")
    first_model, second_model = (stage.bundle.name for stage in both.stages)
    candidates = sorted({*CANDIDATES} if score is None else {*CANDIDATES, score})
    return draw_curve((first_model, second_model), cheap, full, targets, candidates)


def _values(
    target: Path | None, made: Bundle | None, curve: Curve | None, chosen: Point | None
) -> dict[str, Any]:
    """What was found and made, as values for JSON; None for what was not."""
    return {
        "model": made and made.model_id,
        "path": str(target) if made else None,
        "chosen": chosen and asdict(chosen),
        "curve": curve and curve.as_dict(),
    }


def _show(curve: Curve, chosen: Point | None, on: Path) -> None:
    cheap, full = curve.names
    table = Table(
        title=f"{cheap}, and {full} where it is not sure, on {curve.samples:,} texts of {on.name}",
        title_justify="left",
    )
    table.add_column("score", justify="right")
    for name in (f"reach {full}", "cost", "accuracy", "calibration error", "cross entropy"):
        table.add_column(Text(name), justify="right")
    table.add_column("")

    def row(name: str, share: float, cost: float, figures: Figures, note: str = "") -> None:
        table.add_row(
            name,
            f"{share:.1%}",
            f"{cost:.2f}",
            f"{figures.accuracy:.4f}",
            f"{figures.expected_calibration_error:.4f}",
            f"{figures.cross_entropy:.4f}",
            Text(note),
            style="bold" if note == _CHOSEN else None,
        )

    row("", 0, curve.cheap_cost, curve.cheap, f"{cheap} alone")
    shown = 0.0
    for point in curve.points:
        # Scores that send as many texts on are one row.
        if point == chosen or (point.min_score in SHOWN and point.share > shown):
            shown = point.share
            note = _CHOSEN if point == chosen else ""
            row(f"{point.min_score:g}", point.share, point.cost, point, note)
    row("", 1, 1, curve.full, f"{full} alone")
    console = output()
    console.print(table)
    if chosen is not None:
        console.print(
            Text(
                f"From {chosen.min_score:g} on {cheap} answers: {chosen.share:.1%} of the texts reach "
                f"{full}. That costs {chosen.cost:.2f} of what {full} alone does, and loses "
                f"{_points(chosen.loss, chosen.most_loss)} of accuracy and "
                f"{_points(chosen.calibration_loss, chosen.most_calibration_loss)} of calibration"
            )
        )


def _points(loss: float, most: float) -> str:
    return f"{_number(loss)} ({_number(most)} with a standard error)"


def _number(loss: float) -> str:
    """A difference in four digits, without the sign of a zero."""
    return f"{round(loss, 4) + 0.0:.4f}"
