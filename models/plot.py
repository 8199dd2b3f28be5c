"""Draws an evaluation: confusion matrix, reliability diagram, accuracy by length; with matplotlib."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.evaluate import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".pdf", ".svg")
#: With more labels, numbers in the cells would cover each other; with still more, names would.
_MOST_NUMBERS, _MOST_NAMES = 20, 60


class PlotError(ValueError):
    """A picture that cannot be drawn. Its message is one line: the value, and the fix."""


def check_plot(path: str | os.PathLike[str]) -> Path:
    """Refuses a picture that could not be drawn, before the work that it is to show.

    Raises:
        PlotError: matplotlib is not installed, the file is no picture, or its folder is not there.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise PlotError(f"{path}: choose a file name that ends in {', '.join(SUFFIXES)}")
    if not path.parent.is_dir():
        raise PlotError(f"{path}: there is no folder {path.parent}; make it first")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise PlotError(
            f"{path}: pictures need matplotlib; install it with `pip install 'newsbeam[plot]'`"
        ) from None
    return path


def plot(evaluation: Evaluation, path: str | os.PathLike[str]) -> None:
    """Draws an evaluation into a file.

    Args:
        evaluation: What to draw.
        path: The file; its ending says the format (.png, .pdf, .svg).

    Raises:
        PlotError: See `check_plot`; or the file cannot be written.
    """
    path = check_plot(path)
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    figure = Figure(figsize=(15, 5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _confusion(left, evaluation)
    _reliability(middle, evaluation)
    _lengths(right, evaluation)
    figure.suptitle(f"{evaluation.model} on {evaluation.samples:,} texts")
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure into a file.

    Raises:
        PlotError: The file cannot be written.
    """
    try:
        figure.savefig(path, dpi=144)
    except OSError as e:
        raise PlotError(f"{path}: cannot be written: {e.strerror}") from e


def _confusion(axes: Axes, evaluation: Evaluation) -> None:
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(evaluation.labels))
    if len(ticks) <= _MOST_NAMES:
        size = "medium" if len(ticks) <= _MOST_NUMBERS else "xx-small"
        axes.set_xticks(ticks, evaluation.labels, rotation=30, ha="right", fontsize=size)
        axes.set_yticks(ticks, evaluation.labels, fontsize=size)
    axes.set_xlabel("category given")
    axes.set_ylabel("label")
    low, high = evaluation.accuracy_interval
    axes.set_title(f"accuracy {evaluation.eval_accuracy:.4f} (95%: {low:.4f} to {high:.4f})")
    if len(ticks) > _MOST_NUMBERS:
        return
    for row in ticks:
        for column in ticks:
            color = "white" if shares[row, column] > 0.5 else "black"
            text = f"{counts[row, column]:,}"
            axes.text(column, row, text, ha="center", va="center", color=color)


def _reliability(axes: Axes, evaluation: Evaluation) -> None:
    bins = [b for b in evaluation.calibration if b.count]
    width = evaluation.calibration[0].high - evaluation.calibration[0].low
    axes.bar(
        [b.low for b in bins],
        [b.accuracy for b in bins],
        width,
        align="edge",
        edgecolor="white",
        label="accuracy",
    )
    axes.plot([0, 1], [0, 1], "k--", linewidth=1, label="perfect calibration")
    axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], "o", color="tab:orange")
    for b in bins:
        axes.annotate(
            f"{b.count:,}", (b.low + width / 2, 0.01), ha="center", fontsize=7, color="white"
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("score of the category (a dot: the mean of its bin)")
    axes.set_ylabel("share that was right")
    axes.set_title(f"expected calibration error {evaluation.expected_calibration_error:.4f}")
    axes.legend(loc="upper left")


def _lengths(axes: Axes, evaluation: Evaluation) -> None:
    groups = evaluation.by_length.groups
    places = range(len(groups))
    shares = [group.accuracy for group in groups]
    around = [
        [group.accuracy - group.accuracy_interval[0] for group in groups],
        [group.accuracy_interval[1] - group.accuracy for group in groups],
    ]
    axes.bar(places, shares, yerr=around, ecolor="black", capsize=3)
    for place, group in zip(places, groups, strict=True):
        axes.annotate(f"{group.samples:,}", (place, 0.01), ha="center", fontsize=7, color="white")
    axes.axhline(
        evaluation.eval_accuracy, color="k", linestyle="--", linewidth=1, label="all texts"
    )
    axes.set_xticks(places, [group.name for group in groups], rotation=30, ha="right")
    axes.set_ylim(0, 1)
    axes.set_xlabel("tokens")
    axes.set_ylabel("share that was right (bar: 95%)")
    falls = "falls" if evaluation.by_length.falls else "does not fall"
    axes.set_title(f"accuracy {falls} with length")
    axes.legend(loc="center right")
