"""Draws the panels of deploy/monitoring/dashboard.json from a Prometheus that has watched a run.

A picture for the docs, and a look at what the panels say where there is no Grafana: the queries are the
dashboard's own, what draws them is matplotlib.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import requests
from matplotlib.dates import ConciseDateFormatter
from matplotlib.ticker import FuncFormatter

from benchmarks.watched import watched

FOLDER = Path(__file__).parents[1] / "deploy/monitoring"
#: Points of a line.
POINTS = 120
#: Where a status is drawn as a number.
NUMBERS = "stat"


def in_unit(value: float, unit: str) -> str:
    """A value as a panel of that unit shows it."""
    if math.isnan(value):
        return "–"
    if unit == "bytes":
        return f"{value / 2**20:,.0f} MiB"
    if unit == "percentunit":
        return f"{value:.1%}"
    if unit == "s":
        return f"{value * 1000:.0f} ms" if value < 1 else f"{value:,.1f} s"
    return f"{value:,.1f}" if value < 10 else f"{value:,.0f}"


class Prometheus:
    """A Prometheus, asked about a stretch of time.

    Args:
        url: Where it is.
        seconds: How long the stretch is, up to now.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._end = time.time()
        self._step = max(1.0, seconds / POINTS)
        self._seconds = seconds

    def lines(self, target: dict[str, Any]) -> list[tuple[str, list[Any], list[float]]]:
        """Name, times and values of each line that a panel's query gives."""
        promql = target["expr"].replace("$__rate_interval", "30s")
        for name in ("job", "instance"):
            promql = promql.replace(f"${name}", ".*")
        answer = requests.get(
            f"{self._url}/api/v1/query_range",
            params={
                "query": promql,
                "start": str(self._end - self._seconds),
                "end": str(self._end),
                "step": str(self._step),
            },
            timeout=60,
        ).json()
        if answer["status"] != "success":
            raise SystemExit(f"{promql}: {answer['error']}")
        found = []
        for series in answer["data"]["result"]:
            name = target["legendFormat"]
            for label, value in series["metric"].items():
                name = name.replace("{{" + label + "}}", value)
            times = [datetime.datetime.fromtimestamp(t) for t, _ in series["values"]]
            found.append((name, times, [float(v) for _, v in series["values"]]))
        return sorted(found)


def draw(panel: dict[str, Any], axes: Any, prometheus: Prometheus) -> bool:
    """Draws a panel; says whether there was anything to draw."""
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    lines = [line for target in panel["targets"] for line in prometheus.lines(target)]
    axes.set_title(panel["title"], fontsize=8, loc="left")
    if panel["type"] == NUMBERS:
        value = lines[0][2][-1] if lines else math.nan
        axes.axis("off")
        axes.text(0.5, 0.4, in_unit(value, unit), fontsize=17, ha="center", va="center")
        return bool(lines)
    stacked = "stacking" in panel["fieldConfig"]["defaults"].get("custom", {})
    if stacked and lines:
        axes.stackplot(lines[0][1], *_aligned(lines), labels=[n for n, _, _ in lines], alpha=0.7)
    else:
        for name, times, values in lines:
            axes.plot(times, values, label=name, linewidth=1)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_unit(value, unit)))
    axes.xaxis.set_major_formatter(ConciseDateFormatter(axes.xaxis.get_major_locator()))
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.3)
    if lines:
        axes.legend(fontsize=5, loc="upper left", framealpha=0.5)
    return bool(lines)


def _aligned(lines: list[tuple[str, list[Any], list[float]]]) -> list[list[float]]:
    """The values of lines at the times of the first."""
    by_time = [dict(zip(times, values, strict=True)) for _, times, values in lines]
    return [[values.get(t, 0.0) for t in lines[0][1]] for values in by_time]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", metavar="URL")
    parser.add_argument("--minutes", type=float, default=10.0, help="up to now (default: 10)")
    parser.add_argument("--out", type=Path, default=FOLDER / "dashboard.png")
    parser.add_argument(
        "--record", type=float, metavar="SECONDS", help="watch a run of our own for so long before"
    )
    parser.add_argument("--rate", type=float, default=100.0, help="news/s of that (default: 100)")
    options = parser.parse_args()
    if options.record is None:
        picture(Prometheus(options.prometheus, options.minutes * 60), options.out)
        return
    with watched(options.record, options.rate) as url:
        picture(Prometheus(url, options.record), options.out)


def picture(prometheus: Prometheus, out: Path) -> None:
    """Draws all panels into a file."""
    panels = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))["panels"]
    shown = [panel for panel in panels if panel["type"] in {"timeseries", NUMBERS}]
    rows = sorted({panel["gridPos"]["y"] for panel in shown})
    heights = [0.35 if y == rows[0] else 1.0 for y in rows]
    figure = plt.figure(figsize=(16, 2.1 * len(rows)), layout="constrained")
    grid = figure.add_gridspec(len(rows), 24, height_ratios=heights)
    for panel in shown:
        at = panel["gridPos"]
        place = grid[rows.index(at["y"]), at["x"] : at["x"] + at["w"]]
        if not draw(panel, figure.add_subplot(place), prometheus):
            print(f"nothing to show: {panel['title']}")
    figure.savefig(out, dpi=80)
    print(f"drew {out}")


if __name__ == "__main__":
    main()
