"""A soup holds the weighted mean of its ingredients."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

for _needed in ("torch", "transformers", "onnx"):
    pytest.importorskip(_needed, reason="training needs newsbeam[train]")

from safetensors.numpy import load_file, save_file

from training import soup
from training.config import SoupConfig


def test_weights_are_averaged(checkpoint: Path, tmp_path: Path) -> None:
    one = load_file(checkpoint / "model.safetensors")
    other = {name: array + 1 for name, array in one.items()}
    for name, weights in (("a", one), ("b", other)):
        shutil.copytree(checkpoint, tmp_path / "runs" / name)
        save_file(weights, tmp_path / "runs" / name / "model.safetensors")
    soup.soup(SoupConfig("mixed", ("a", "b"), (0.25, 0.75)), tmp_path)
    found = load_file(tmp_path / "runs" / "mixed" / "model.safetensors")
    assert found.keys() == one.keys()
    for name, array in found.items():
        np.testing.assert_allclose(array, one[name] + 0.75, atol=1e-5)
    config = json.loads((tmp_path / "runs" / "mixed" / "config.json").read_text())
    assert config["model_type"] == "roberta"


@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.6)])
def test_shares_that_make_no_mean(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"soup 'mixed': shares .* give one for each, 1 in all"):
        SoupConfig("mixed", ("a", "b"), shares)
