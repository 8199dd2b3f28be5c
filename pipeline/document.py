"""The table of options in README.md, from the classes of settings: `python -m pipeline.document`.

With `--template`, the parameters of the flex template instead: `deploy/dataflow/metadata.json`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path

from models.settings import Field, fields_of
from pipeline.options import RUN_SETTINGS
from pipeline.template import as_json

BEGIN, END = "<!-- options: python -m pipeline.document -->\n", "<!-- end of options -->\n"


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


def with_table(text: str) -> str:
    """A text with the table in its place, between its marks.

    Raises:
        ValueError: It has no marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no place for the table: {BEGIN.strip()} … {END.strip()}")
    return before + begin + options_table() + end + after


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
    root = Path(__file__).resolve().parent.parent
    if "--template" in sys.argv[1:]:
        (root / "deploy/dataflow/metadata.json").write_text(as_json(), encoding="utf-8")
        sys.exit(0)
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(with_table(text), encoding="utf-8")
    sys.exit(0)
