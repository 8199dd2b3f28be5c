"""Weights read back from an int8 bundle are those that went in, to half a step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

for _needed in ("torch", "transformers", "onnx"):
    pytest.importorskip(_needed, reason="training needs newsbeam[train]")

import onnx
from safetensors.numpy import load_file
from safetensors.torch import save_file

from training import dequantize, graph, scores


@pytest.mark.parametrize("smoothed", [False, True])
def test_a_bundle_s_weights_come_back(checkpoint: Path, tmp_path: Path, smoothed: bool):
    wanted = load_file(checkpoint / "model.safetensors")
    config = json.loads((checkpoint / "config.json").read_text())
    reaches = {}
    if smoothed:
        names = (name for name in wanted if "encoder" in name and name.endswith(".weight"))
        two = (name for name in names if wanted[name].ndim == 2)
        reaches = {n.removesuffix(".weight"): np.full(wanted[n].shape[1], 2.0) for n in two}
    made = graph.build(wanted, config, quantized=True, reaches=reaches, power=0.1)
    assert smoothed == any("smooth" in constant.name for constant in made.graph.initializer)
    onnx.save(made, str(tmp_path / "model.onnx"))
    found = dequantize.state_dict(tmp_path / "model.onnx")
    save_file(found, tmp_path / "model.safetensors")
    # Everything a checkpoint holds is there, under its name.
    scores.build(checkpoint).load_state_dict(found)
    positions = "roberta.embeddings.position_embeddings.weight"
    types = "roberta.embeddings.token_type_embeddings.weight"
    wanted[positions] = wanted[positions] + wanted[types]
    for name, array in found.items():
        if name == types:
            continue
        rows = slice(2, None) if name == positions else slice(None)
        axis = 1 if array.ndim == 2 else None
        levels = 127 if "word_embeddings" in name else graph.PRODUCT_LEVELS
        step = np.abs(wanted[name]).max(axis, keepdims=True) / levels
        difference = np.abs(array.numpy() - wanted[name])[rows]
        assert np.all(difference <= (step * 0.51)[rows] + 1e-6), name


def test_another_graph_is_refused(tmp_path: Path):
    empty = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))
    onnx.save(empty, str(tmp_path / "model.onnx"))
    with pytest.raises(ValueError, match="not an int8 graph"):
        dequantize.state_dict(tmp_path / "model.onnx")
