"""Turns a float graph into int8: products with dynamic ranges, embeddings row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models.errors import BundleError
from models.export.graph import INLINE_BYTES
from models.export.packages import package, reason
from models.quiet import quiet

#: Tables with fewer numbers stay as they are: nothing would be saved.
SMALLEST_TABLE = 4096


def quantize(source: Path, target: Path) -> None:
    """Writes the int8 form of a float graph.

    Products get int8 weights with a scale per column, and take the ranges of their activations when
    they run. Embeddings get a scale per row: one scale for all would be that of the largest token.
    Products of one vector per text (the classifier's head) stay float: they cost nothing, and are
    where an error would show most.

    Args:
        source: The float graph.
        target: Where the int8 graph goes; large weights beside it, with `.data` added.

    Raises:
        BundleError: The quantizer cannot, or the packages are missing.
    """
    onnx = package("onnx")
    quantization = package("onnxruntime.quantization")
    try:
        with quiet():
            _quantize(onnx, quantization, source, target)
    except Exception as e:  # the quantizer raises nearly everything
        raise BundleError(
            f"model {source.parent.name}: cannot be quantized ({reason(e)}); export it with "
            "--no-int8"
        ) from e


def _quantize(onnx: Any, quantization: Any, source: Path, target: Path) -> None:
    model = onnx.load(source)
    # The quantizer makes a MatMul of a Gemm, which is what a product of vectors is.
    heads = [f"{n.name}_MatMul" for n in model.graph.node if n.op_type == "Gemm"]
    _quantize_tables(onnx, model)
    large = model.ByteSize() > INLINE_BYTES
    quantization.quantize_dynamic(
        model,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        # CPUs without VNNI add two products in 16 bits, which weights of 8 bits overflow.
        reduce_range=True,
        weight_type=quantization.QuantType.QInt8,
        nodes_to_exclude=heads,
        use_external_data_format=large,
        # Types it cannot infer are float.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
    )


def _quantize_tables(onnx: Any, model: Any) -> None:
    """Turns the embeddings into int8 with a scale per row; the model is changed in place."""
    graph = model.graph
    tables = {
        t.name: t
        for t in graph.initializer
        if t.data_type == onnx.TensorProto.FLOAT
        and len(t.dims) == 2
        and t.dims[0] * t.dims[1] >= SMALLEST_TABLE
    }
    for node in graph.node:  # only looked up, nowhere else used
        for place, name in enumerate(node.input):
            if name in tables and not (
                node.op_type == "Gather" and place == 0 and _axis(node) == 0
            ):
                del tables[name]
    nodes = []
    for node in graph.node:
        table = tables.get(node.input[0]) if node.op_type == "Gather" else None
        nodes.extend([node] if table is None else _lookup(onnx, node))
    for name, table in tables.items():
        integers, scales = _rows(onnx.numpy_helper.to_array(table))
        graph.initializer.remove(table)
        graph.initializer.append(onnx.numpy_helper.from_array(integers, f"{name}/int8"))
        graph.initializer.append(onnx.numpy_helper.from_array(scales, f"{name}/scale"))
    del graph.node[:]
    graph.node.extend(nodes)


def _lookup(onnx: Any, node: Any) -> list[Any]:
    """The nodes that take rows out of an int8 table, instead of `node`."""
    make = onnx.helper.make_node
    table, ids = node.input
    (out,) = node.output
    return [
        make("Gather", [f"{table}/int8", ids], [f"{out}/int8"], f"{node.name}/int8"),
        make("Cast", [f"{out}/int8"], [f"{out}/float"], f"{node.name}/float", to=1),
        make("Gather", [f"{table}/scale", ids], [f"{out}/scale"], f"{node.name}/scale"),
        make("Mul", [f"{out}/float", f"{out}/scale"], [out], f"{node.name}/rows"),
    ]


def _axis(node: Any) -> int:
    return next((a.i for a in node.attribute if a.name == "axis"), 0)


def _rows(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric int8 with a scale per row: rows x columns, and rows x 1."""
    scales = np.maximum(np.abs(table).max(1, keepdims=True), 1e-12) / 127
    integers = np.clip(np.rint(table / scales), -127, 127).astype(np.int8)
    return integers, scales.astype(np.float32)
