"""What the docs say from code: `python -m pipeline.document` writes it anew.

The options of `newsbeam run` in README.md, from the classes of settings; the metrics in
deploy/monitoring/README.md, from their table; the parameters of the flex template in
deploy/dataflow/metadata.json, from the options again.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from models.settings import Field, fields_of
from pipeline.options import RUN_SETTINGS
from pipeline.template import as_json
from transforms.watching.metrics import METRICS, Metric

ROOT = Path(__file__).resolve().parent.parent


def options_table(classes: Iterable[type] = RUN_SETTINGS) -> str:
    """The options of `newsbeam run`, as a table in Markdown; the environment has them by name, too."""
    by_panel: dict[str, list[Field]] = {}
    for cls in classes:
        for field in fields_of(cls):
            by_panel.setdefault(field.panel, []).append(field)
    lines = ["| option | default | |", "|---|---|---|"]
    for panel, fields in by_panel.items():
        lines.append(f"| **{panel}** | | |")
        lines += [f"| `{_flag(f)}` | {_default(f)} | {_cell(f.option.help)} |" for f in fields]
    return "\n".join(lines) + "\n"


def metrics_table(metrics: Iterable[Metric] = METRICS) -> str:
    """The metrics, as a table in Markdown."""
    lines = ["| metric | kind, unit | | in Beam |", "|---|---|---|---|"]
    for metric in metrics:
        labels = f"{{{', '.join(metric.labels)}}}" if metric.labels else ""
        unit = "" if metric.unit == "1" else f", {metric.unit}"
        beam = metric.beam.replace("{", "").replace("}", "") if metric.beam else ""
        for label in metric.labels:
            beam = beam.replace(f"_{label}", f"_{label.upper()}")
        shown = f"`{beam}`" if beam else ""
        lines.append(
            f"| `{metric.name}{labels}` | {metric.kind}{unit} | {_cell(metric.help)} | {shown} |"
        )
    return "\n".join(lines) + "\n"


class Place(NamedTuple):
    """Where a table stands: in which file, between which marks."""

    file: str
    begin: str
    end: str
    table: Callable[[], str]

    @property
    def path(self) -> Path:
        """The file."""
        return ROOT / self.file

    def written(self, text: str) -> str:
        """A text with the table in its place, between its marks.

        Raises:
            ValueError: It has no marks.
        """
        before, begin, rest = text.partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not begin or not end:
            raise ValueError(f"no place for the table: {self.begin.strip()} … {self.end.strip()}")
        return before + begin + self.table() + end + after


OPTIONS = Place(
    "README.md",
    "<!-- options: python -m pipeline.document -->\n",
    "<!-- end of options -->\n",
    options_table,
)
#: All tables.
PLACES = (
    OPTIONS,
    Place(
        "deploy/monitoring/README.md",
        "<!-- metrics: python -m pipeline.document -->\n",
        "<!-- end of metrics -->\n",
        metrics_table,
    ),
)


def _flag(field: Field) -> str:
    option = field.option
    if option.choices is not None:
        # In a table, a bar would end the cell.
        return f"--{field.name} {','.join(option.choices)}"
    return f"--{field.name} {option.metavar}" if option.metavar else f"--{field.name}"


def _default(field: Field) -> str:
    value = field.default
    if value is dataclasses.MISSING:
        return "required"
    if isinstance(value, tuple):
        value = ",".join(value)
    return "" if value in (None, False, "") else f"`{_cell(str(value))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for place in PLACES:
        text = place.path.read_text(encoding="utf-8")
        place.path.write_text(place.written(text), encoding="utf-8")
    (ROOT / "deploy/dataflow/metadata.json").write_text(as_json(), encoding="utf-8")
    sys.exit(0)
