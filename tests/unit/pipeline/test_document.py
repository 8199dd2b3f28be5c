"""The table of options in README.md is what the classes of settings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.settings import fields_of
from pipeline.document import BEGIN, END, options_table, with_table
from pipeline.options import RUN_SETTINGS

README = Path(__file__).parents[3] / "README.md"


def test_the_readme_has_the_table() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_table(text) == text, "run `python -m pipeline.document`"


def test_each_option_has_a_row() -> None:
    rows = [line for line in options_table().splitlines() if line.startswith("| `--")]
    names = [row.removeprefix("| `--").replace("`", " ").split()[0] for row in rows]
    assert sorted(names) == sorted(f.name for cls in RUN_SETTINGS for f in fields_of(cls))


def test_a_text_without_marks_has_no_place_for_it() -> None:
    assert with_table(f"a\n{BEGIN}old\n{END}b\n") == f"a\n{BEGIN}{options_table()}{END}b\n"
    with pytest.raises(ValueError, match="no place"):
        with_table("a\n")
