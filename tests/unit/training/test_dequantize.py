"""Weights read back from an int8 file are those that went in, to half a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for _needed in ("torch", "transformers", "onnx"):
    pytest.importorskip(_needed, reason="training needs newsbeam[train]")

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from training import dequantize


def quantized(path: Path, node_name: str, weight: np.ndarray) -> Path:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], node_name)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", weight.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", weight.shape[1]])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path / "float.onnx"))
    quantize_dynamic(path / "float.onnx", path / "int8.onnx", per_channel=True)
    return path / "int8.onnx"


def test_a_product_gets_its_layers_name_and_values(tmp_path: Path):
    weight = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    file = quantized(tmp_path, "/roberta/encoder/layer.0/output/dense/MatMul", weight)
    found = dequantize.state_dict(file)
    assert list(found) == ["roberta.encoder.layer.0.output.dense.weight"]
    step = np.abs(weight).max(0) / 127
    difference = np.abs(found["roberta.encoder.layer.0.output.dense.weight"].numpy().T - weight)
    assert np.all(difference <= step * 0.51)


def test_a_product_without_a_path_is_refused(tmp_path: Path):
    file = quantized(tmp_path, "product", np.ones((4, 4), np.float32))
    with pytest.raises(ValueError, match="which layer"):
        dequantize.state_dict(file)
