"""Draw learning curves."""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib.figure import Figure


def curves(runs: list[Path], target: Path) -> None:
    """Loss and accuracy on every held-out part of each run's `curve.csv`, by rows trained on."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2)
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
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
