"""The picture of README: newsbeam beside its peers, of the figures of `benchmarks.peers`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Titles of the jobs.
JOBS = {"kafka": "Kafka to Kafka", "texts": "texts to labels, in a process"}
_OURS, _PEER = "#1f77b4", "#b0b0b0"


def draw(found: dict[str, Any], target: Path) -> None:
    """Draws a bar for each, ours beside the peers of the same job.

    Args:
        found: What `python -m benchmarks.peers --json FILE` has written.
        target: The picture: .png, .svg or .pdf.
    """
    peers = [[p for p in found["peers"] if p["job"] == job] for job in JOBS]
    heights = [max(1, len(group)) for group in peers]
    figure = Figure(figsize=(9, 0.42 * sum(heights) + 1.6), layout="constrained")
    axes = figure.subplots(len(JOBS), 1, height_ratios=heights, squeeze=False)[:, 0]
    for axis, title, group in zip(axes, JOBS.values(), peers, strict=True):
        _bars(axis, title, group)
    machine = found["machine"]
    figure.supxlabel(f"rows a second on {machine['cores']} cores ({machine['cpu']})", fontsize=9)
    figure.savefig(target, dpi=120)


def _bars(axis: Axes, title: str, peers: list[dict[str, Any]]) -> None:
    ordered = sorted(peers, key=lambda peer: peer["rate"])
    rates = [peer["rate"] for peer in ordered]
    ours = ["newsbeam" in peer["title"] for peer in ordered]
    axis.barh(range(len(rates)), rates, color=[_OURS if our else _PEER for our in ours])
    axis.set_yticks(range(len(rates)), [peer["title"] for peer in ordered], fontsize=8)
    for place, peer in enumerate(ordered):
        words = f" {peer['rate']:,.0f}/s, accuracy {peer['accuracy']:.3f}"
        axis.text(peer["rate"], place, words, va="center", fontsize=8)
    axis.set_xlim(0, 1.35 * max(rates, default=1))
    axis.set_title(title, fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path, help="what benchmarks.peers --json has written")
    parser.add_argument("target", type=Path, help="the picture: .png, .svg or .pdf")
    options = parser.parse_args()
    draw(json.loads(options.json.read_text(encoding="utf-8")), options.target)


if __name__ == "__main__":
    main()
