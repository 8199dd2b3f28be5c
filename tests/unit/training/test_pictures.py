"""Pictures are drawn from whatever a run watched."""

from __future__ import annotations

from pathlib import Path

import pytest

for _needed in ("torch", "transformers", "onnx"):
    pytest.importorskip(_needed, reason="training needs newsbeam[train]")

from matplotlib.figure import Figure

from training import pictures


def test_curves_of_runs_that_watched_different_parts(tmp_path: Path, monkeypatch):
    drawn: list[list[str]] = []

    def save(figure, target, **options):
        drawn.append([line.get_label() for line in figure.axes[1].lines])

    monkeypatch.setattr(Figure, "savefig", save)
    for name, part in (("a", "validation"), ("b", "unseen")):
        (tmp_path / name).mkdir()
        header = f"step,rows,minutes,train_loss,{part}_loss,{part}_accuracy"
        (tmp_path / name / "curve.csv").write_text(f"{header}\n1,32,0.1,1.0,0.5,0.8\n")
    pictures.curves([tmp_path / "a", tmp_path / "b"], tmp_path / "curves.png")
    assert drawn == [["a, validation", "b, unseen"]]
