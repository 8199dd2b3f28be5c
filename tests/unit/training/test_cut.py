"""Cutting layers and reading int8 weights back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

for _needed in ("torch", "transformers", "onnx"):
    pytest.importorskip(_needed, reason="training needs newsbeam[train]")

import torch
from safetensors.torch import load_file

from training import cut


def test_cut_keeps_the_chosen_layers_in_order(checkpoint: Path, tmp_path: Path):
    cut.cut(checkpoint, tmp_path / "cut", (0, 2))
    before, after = (load_file(f / "model.safetensors") for f in (checkpoint, tmp_path / "cut"))
    name = "roberta.encoder.layer.{}.output.dense.weight"
    assert torch.equal(after[name.format(1)], before[name.format(2)])
    assert name.format(2) not in after
    assert json.loads((tmp_path / "cut/config.json").read_text())["num_hidden_layers"] == 2


def test_a_missing_layer_is_named(checkpoint: Path, tmp_path: Path):
    with pytest.raises(ValueError, match=r"3 layers, so no \[7\]"):
        cut.cut(checkpoint, tmp_path / "cut", (0, 7))
