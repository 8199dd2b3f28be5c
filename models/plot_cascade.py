"""Draws what a cascade costs and loses, over candidate scores; with matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from models.choose_cascade import Curve, Figures, Point
from models.plot import check_plot, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Scores that are written beside their points, as far as there is room.
_NAMED = (0.5, 0.8, 0.9, 0.95, 0.97, 0.99)


def plot_cascade(curve: Curve, chosen: Point | None, path: str | os.PathLike[str]) -> None:
    """Draws accuracy and calibration error against cost into a file.

    Args:
        curve: What to draw.
        chosen: The point that is marked, if any.
        path: The file; its ending says the format (.png, .pdf, .svg).

    Raises:
        PlotError: See `models.plot.check_plot`; or the file cannot be written.
    """
    path = check_plot(path)
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    _against_cost(left, curve, chosen, "accuracy", [p.most_loss - p.loss for p in curve.points])
    spread = [p.most_calibration_loss - p.calibration_loss for p in curve.points]
    _against_cost(right, curve, chosen, "expected_calibration_error", spread)
    cheap, full = curve.names
    figure.suptitle(f"{cheap}, and {full} where it is not sure, on {curve.samples:,} texts")
    save(figure, path)


def _against_cost(
    axes: Axes, curve: Curve, chosen: Point | None, name: str, spread: Sequence[float]
) -> None:
    def value(of: Figures) -> float:
        return float(getattr(of, name))

    cheap, full = curve.names
    points = curve.points
    costs, values = [p.cost for p in points], [value(p) for p in points]
    axes.plot(costs, values, ".-", label="cascades, by score")
    axes.fill_between(
        costs,
        [v - s for v, s in zip(values, spread, strict=True)],
        [v + s for v, s in zip(values, spread, strict=True)],
        alpha=0.2,
        label="standard error of the difference",
    )
    axes.plot(
        [curve.cheap_cost], [value(curve.cheap)], "s", color="tab:gray", label=f"{cheap} alone"
    )
    axes.plot([1], [value(curve.full)], "D", color="black", label=f"{full} alone")
    axes.axhline(value(curve.full), color="k", linestyle="--", linewidth=1)
    for point in points:
        if point.min_score in _NAMED and point != chosen:
            _name(axes, point, value(point))
    if chosen is not None:
        axes.plot([chosen.cost], [value(chosen)], "o", color="tab:orange", label="chosen", zorder=3)
        _name(axes, chosen, value(chosen), weight="bold")
    axes.set_xlabel(f"CPU time, {full} alone is 1")
    axes.set_ylabel(name.replace("_", " "))
    axes.legend(loc="best")


def _name(axes: Axes, point: Point, value: float, weight: str = "normal") -> None:
    axes.annotate(
        f"{point.min_score:g}",
        (point.cost, value),
        xytext=(3, 5),
        textcoords="offset points",
        fontsize=8,
        fontweight=weight,
    )
