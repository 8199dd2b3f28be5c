"""Draw learning curves, the reliability diagram and the confusion matrix."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from training import measure
from training.data import LABELS


def curves(runs: list[Path], target: Path) -> None:
    """Loss and accuracy on every held-out part of each run's `curve.csv`, by rows trained on."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    for run in runs:
        with (run / "curve.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        seen = [int(row["rows"]) / 1000 for row in rows]
        for axis, what in zip(axes, ("loss", "accuracy"), strict=True):
            for column in rows[0]:
                part = column.removesuffix(f"_{what}")
                if part in (column, "train"):
                    continue
                values = [float(row[column]) for row in rows]
                axis.plot(seen, values, marker="o", label=f"{run.name}, {part}")
            axis.set_xlabel("thousand rows trained on")
            axis.set_title(what)
            axis.grid(alpha=0.3)
    if runs:
        axes[0].legend()
    _save(figure, target)


def reliability(values: np.ndarray, labels: np.ndarray, target: Path) -> None:
    """Accuracy against score in 15 bins, with the share of rows in each."""
    table = measure.reliability(values, labels)
    used = table[:, 0] > 0
    figure, axis = plt.subplots(figsize=(5, 5))
    axis.plot([0, 1], [0, 1], color="grey", linestyle="--")
    axis.plot(table[used, 1], table[used, 2], marker="o")
    axis.bar(table[used, 1], table[used, 0] / table[:, 0].sum(), width=0.02, alpha=0.3)
    axis.set_xlabel("score")
    axis.set_ylabel("accuracy (line), share of rows (bars)")
    axis.set_title(f"ECE {measure.calibration_error(values, labels):.4f}")
    _save(figure, target)


def confusion(values: np.ndarray, labels: np.ndarray, target: Path) -> None:
    """Rows by label and predicted label."""
    matrix = np.array(measure.report(values, labels).confusion)
    figure, axis = plt.subplots(figsize=(5, 5))
    axis.imshow(np.sqrt(matrix), cmap="Blues")
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if row == column else "black"
        axis.text(column, row, str(count), ha="center", va="center", color=colour)
    axis.set_xticks(range(len(LABELS)), LABELS)
    axis.set_yticks(range(len(LABELS)), LABELS)
    axis.set_xlabel("predicted")
    axis.set_ylabel("label")
    _save(figure, target)


def _save(figure: Figure, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(target, dpi=110)
    plt.close(figure)
