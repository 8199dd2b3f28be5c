"""The tables of the docs are what the code says."""

from __future__ import annotations

import pytest

from models.settings import fields_of
from pipeline.document import OPTIONS, PLACES, Place, metrics_table, options_table
from pipeline.options import RUN_SETTINGS
from transforms.watching.metrics import METRICS


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.file)
def test_the_docs_have_the_table(place: Place) -> None:
    text = place.path.read_text(encoding="utf-8")
    assert place.written(text) == text, "run `python -m pipeline.document`"


def test_each_option_has_a_row() -> None:
    rows = [line for line in options_table().splitlines() if line.startswith("| `--")]
    names = [row.removeprefix("| `--").replace("`", " ").split()[0] for row in rows]
    assert sorted(names) == sorted(f.name for cls in RUN_SETTINGS for f in fields_of(cls))


def test_each_metric_has_a_row() -> None:
    rows = metrics_table().splitlines()[2:]
    assert len(rows) == len(METRICS)
    for row, metric in zip(rows, METRICS, strict=True):
        assert row.startswith(f"| `{metric.name}")
    assert "| `newsbeam_categorized_total{category}` | counter, records |" in rows[1]
    assert rows[1].endswith("| `categorized_CATEGORY` |")


def test_a_text_without_marks_has_no_place_for_it() -> None:
    begin, end = OPTIONS.begin, OPTIONS.end
    assert OPTIONS.written(f"a\n{begin}old\n{end}b\n") == f"a\n{begin}{options_table()}{end}b\n"
    with pytest.raises(ValueError, match="no place"):
        OPTIONS.written("a\n")
