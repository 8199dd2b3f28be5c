"""Turn a dynamic-int8 ONNX bundle back into a float checkpoint that training can start from."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

_MATMUL = re.compile(r"^/(?P<path>.+)/(?:Gemm_)?MatMul_quant$")


def _parameter(path: str) -> str:
    """`roberta/encoder/layer.0/attention/self/query` -> the parameter's dotted name."""
    return path.replace("/", ".") + ".weight"


def state_dict(model_file: Path) -> dict[str, torch.Tensor]:
    """Read every weight of a quantized RoBERTa classifier as float32.

    Matrix products are found by the names of their nodes, since quantization renames their
    weights; everything else keeps its name.

    Raises:
        ValueError: a quantized matrix product cannot be told from its name.
    """
    graph = onnx.load(str(model_file)).graph
    arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    weights: dict[str, np.ndarray] = {}
    for node in graph.node:
        if node.op_type != "MatMulInteger":
            continue
        match = _MATMUL.match(node.name)
        quantized = node.input[1]
        if match is None or not quantized.endswith("_quantized"):
            raise ValueError(f"cannot tell which layer {node.name!r} belongs to")
        stem = quantized.removesuffix("_quantized")
        weight = arrays[quantized].astype(np.float32) - arrays[f"{stem}_zero_point"]
        weights[_parameter(match["path"])] = (weight * arrays[f"{stem}_scale"]).T
    for name, array in arrays.items():
        if "embeddings" in name and name.endswith("_quantized"):
            stem = name.removesuffix("_quantized")
            zero = arrays[f"{stem}_zero_point"].astype(np.float32)
            weights[stem] = (array.astype(np.float32) - zero) * arrays[f"{stem}_scale"]
        elif name.endswith((".bias", "LayerNorm.weight")):
            weights[name] = array
    return {k: torch.from_numpy(np.ascontiguousarray(v, np.float32)) for k, v in weights.items()}
