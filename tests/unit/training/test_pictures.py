"""Pictures are drawn from whatever a run watched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for _needed in ("torch", "transformers", "onnx"):
    pytest.importorskip(_needed, reason="training needs newsbeam[train]")

from matplotlib import pyplot as plt

from training import pictures


def test_curves_of_runs_that_watched_different_parts(tmp_path: Path, monkeypatch):
    drawn: list[list[str]] = []

    def save(figure, target):
        drawn.append([line.get_label() for line in figure.axes[1].lines])
        plt.close(figure)

    monkeypatch.setattr(pictures, "_save", save)
    for name, part in (("a", "validation"), ("b", "unseen")):
        (tmp_path / name).mkdir()
        header = f"step,rows,minutes,train_loss,{part}_loss,{part}_accuracy"
        (tmp_path / name / "curve.csv").write_text(f"{header}\n1,32,0.1,1.0,0.5,0.8\n")
    pictures.curves([tmp_path / "a", tmp_path / "b"], tmp_path / "curves.png")
    assert drawn == [["a, validation", "b, unseen"]]


@pytest.mark.parametrize("draw", [pictures.reliability, pictures.confusion])
def test_diagrams_are_png_files(tmp_path: Path, draw):
    values = np.random.default_rng(0).normal(size=(50, 4))
    draw(values, values.argmax(1), tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
