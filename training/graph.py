"""Write a RoBERTa classifier as an ONNX graph that ONNX Runtime runs fast on CPUs.

The graph differs from what an exporter writes in these ways, none of which changes the result beyond
rounding:

* attention is one `com.microsoft` node instead of some forty;
* the last layer computes only the first token's output, the one the classifier reads;
* biases, scales and ranges of an int8 product are one `DynamicQuantizeMatMul` node;
* positions are a slice of the table, since padding is on the right and masked;
* the classifier stays in float: it costs nothing and keeps scores exact;
* inputs of int8 products are smoothed, see `smooth`.

With a `power`, the logits are sharpened, see `calibrate`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.calibrate import SMALLEST_MARGIN

#: The largest weight of an int8 product. CPUs without VNNI add two products in 16 bits, which hold
#: 2 x 255 x 64: so a score is the same on any CPU.
PRODUCT_LEVELS = 64

_MICROSOFT = "com.microsoft"
_OPSET = 18


@dataclass(frozen=True)
class Shape:
    """What of a Hugging Face RoBERTa configuration the graph needs."""

    layers: int
    hidden: int
    heads: int
    labels: int
    epsilon: float

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Shape:
        """Read the fields of a `config.json`."""
        return cls(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            heads=config["num_attention_heads"],
            labels=len(config["id2label"]),
            epsilon=config["layer_norm_eps"],
        )


@dataclass
class _Graph:
    """Nodes and constants, collected in order; every method returns its output's name."""

    weights: Mapping[str, np.ndarray]
    quantized: bool
    epsilon: float
    reaches: Mapping[str, np.ndarray]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, array: np.ndarray) -> str:
        if all(constant.name != name for constant in self.constants):
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, domain: str = "", **more: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], name, domain=domain, **more))
        return name

    def norm(self, value: str, prefix: str) -> str:
        scale = self.constant(f"{prefix}.weight", self.weights[f"{prefix}.weight"])
        bias = self.constant(f"{prefix}.bias", self.weights[f"{prefix}.bias"])
        return self.node(
            "LayerNormalization", [value, scale, bias], f"{prefix}/out", epsilon=self.epsilon
        )

    def product(self, value: str, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """`value @ weight + bias`; `weight` is (in, out)."""
        bias_name = self.constant(f"{name}.bias", bias)
        if not self.quantized:
            weight_name = self.constant(f"{name}.weight", weight)
            product = self.node("MatMul", [value, weight_name], f"{name}/product")
            return self.node("Add", [product, bias_name], f"{name}/out")
        reach = self.reaches.get(name.partition("+")[0])
        if reach is not None:
            smooth = np.sqrt(np.maximum(reach, 1e-3) / np.median(reach)).astype(np.float32)
            factors = self.constant(f"{name}.smooth", 1 / smooth)
            value = self.node("Mul", [value, factors], f"{name}/smooth")
            weight = weight * smooth[:, None]
        integers, scales = quantize_columns(weight, PRODUCT_LEVELS)
        inputs = [
            value,
            self.constant(f"{name}.weight_int8", integers),
            self.constant(f"{name}.weight_scale", scales),
            "",
            bias_name,
        ]
        return self.node("DynamicQuantizeMatMul", inputs, f"{name}/out", _MICROSOFT)

    def linear(self, value: str, *names: str) -> str:
        """The layers called `names`, side by side as one product."""
        weight = np.concatenate([self.weights[f"{name}.weight"] for name in names]).T
        bias = np.concatenate([self.weights[f"{name}.bias"] for name in names])
        return self.product(value, "+".join(names), weight, bias)


def quantize_columns(weight: np.ndarray, levels: int = 127) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric integers from -levels to levels with one scale per column: (int8, scales)."""
    scales = np.maximum(np.abs(weight).max(0), 1e-12) / levels
    integers = np.clip(np.rint(weight / scales), -levels, levels).astype(np.int8)
    return integers, scales.astype(np.float32)


def _embeddings(graph: _Graph) -> str:
    words = graph.weights["roberta.embeddings.word_embeddings.weight"]
    if graph.quantized:
        integers, scales = quantize_columns(words.T)
        table = graph.constant("word_embeddings_int8", integers.T)
        scale = graph.constant("word_embeddings_scale", scales[:, None])
        found = graph.node("Gather", [table, "input_ids"], "words/int8")
        found = graph.node("Cast", [found], "words/float", to=TensorProto.FLOAT)
        scale = graph.node("Gather", [scale, "input_ids"], "words/scale")
        found = graph.node("Mul", [found, scale], "words")
    else:
        table = graph.constant("word_embeddings", words)
        found = graph.node("Gather", [table, "input_ids"], "words")
    # RoBERTa's first position is 2: rows 0 and 1 of the table belong to no token.
    positions = graph.weights["roberta.embeddings.position_embeddings.weight"][2:]
    positions = positions + graph.weights["roberta.embeddings.token_type_embeddings.weight"][0]
    table = graph.constant("positions", positions)
    zero = graph.constant("zero", np.array([0], np.int64))
    one = graph.constant("one", np.array([1], np.int64))
    shape = graph.node("Shape", ["input_ids"], "length", start=1)
    rows = graph.node("Slice", [table, zero, shape, zero, one], "positions/used")
    found = graph.node("Add", [found, rows], "embeddings")
    return graph.norm(found, "roberta.embeddings.LayerNorm")


def _layer(graph: _Graph, value: str, number: int, shape: Shape, last: bool) -> str:
    prefix = f"roberta.encoder.layer.{number}"
    own = f"{prefix}.attention.self"
    if last:
        # Only the first token's output is read: one query over all keys and values.
        kept = graph.node(
            "Slice",
            [
                value,
                graph.constant("zero", np.array([0], np.int64)),
                graph.constant("one", np.array([1], np.int64)),
                graph.constant("one", np.array([1], np.int64)),
            ],
            f"{prefix}/first",
        )
    else:
        kept = value
    query, key, values = (f"{own}.{part}" for part in ("query", "key", "value"))
    both = graph.linear(value, key, values) if last else graph.linear(value, query, key, values)
    parts = [f"{own}/{part}" for part in (("k", "v") if last else ("q", "k", "v"))]
    graph.nodes.append(
        helper.make_node("Split", [both], parts, f"{own}/split", axis=2, num_outputs=len(parts))
    )
    if last:
        parts.insert(0, graph.linear(kept, query))
    mixed = graph.node(
        "MultiHeadAttention",
        [*parts, "", "mask"],
        f"{own}/out",
        _MICROSOFT,
        num_heads=shape.heads,
        scale=1 / math.sqrt(shape.hidden // shape.heads),
    )
    out = graph.linear(mixed, f"{prefix}.attention.output.dense")
    out = graph.node("Add", [out, kept], f"{prefix}/attention/sum")
    attended = graph.norm(out, f"{prefix}.attention.output.LayerNorm")
    out = graph.linear(attended, f"{prefix}.intermediate.dense")
    out = graph.node("Gelu", [out], f"{prefix}/gelu", _MICROSOFT)
    out = graph.linear(out, f"{prefix}.output.dense")
    out = graph.node("Add", [out, attended], f"{prefix}/sum")
    return graph.norm(out, f"{prefix}.output.LayerNorm")


def _sharpen(graph: _Graph, logits: str, power: float) -> str:
    two = graph.constant("two", np.array([2], np.int64))
    graph.nodes.append(helper.make_node("TopK", [logits, two], ["top", "top/labels"], "top"))
    graph.nodes.append(
        helper.make_node("Split", ["top"], ["top/first", "top/second"], axis=1, num_outputs=2)
    )
    margin = graph.node("Sub", ["top/first", "top/second"], "margin")
    least = graph.constant("margin/least", np.array(SMALLEST_MARGIN, np.float32))
    margin = graph.node("Max", [margin, least], "margin/clipped")
    exponent = graph.constant("margin/power", np.array(power, np.float32))
    return graph.node(
        "Mul", [logits, graph.node("Pow", [margin, exponent], "sharpness")], "sharpened"
    )


def build(
    weights: Mapping[str, np.ndarray],
    config: Mapping[str, Any],
    quantized: bool,
    reaches: Mapping[str, np.ndarray] | None = None,
    power: float = 0.0,
) -> onnx.ModelProto:
    """The classifier as a graph: `input_ids`, `attention_mask` (int64) to `logits` (float).

    Args:
        weights: parameters by their Hugging Face names, float32.
        config: a `config.json` of a RoBERTa sequence classifier.
        quantized: int8 products with dynamic ranges, int8 embeddings; else float32 throughout.
        reaches: of the inputs of int8 products, see `smooth`; none leaves them as they are.
        power: that logits are sharpened with, see `calibrate`; 0 leaves them as they are.

    Raises:
        onnx.checker.ValidationError: the graph is not well-formed (a bug here).
    """
    shape = Shape.of(config)
    graph = _Graph(weights, quantized, shape.epsilon, reaches or {})
    graph.node("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    value = _embeddings(graph)
    for number in range(shape.layers):
        value = _layer(graph, value, number, shape, last=number == shape.layers - 1)
    one = graph.constant("one", np.array([1], np.int64))
    value = graph.node("Squeeze", [value, one], "first")
    exact = _Graph(weights, False, shape.epsilon, {}, graph.nodes, graph.constants)
    value = exact.linear(value, "classifier.dense")
    value = exact.node("Tanh", [value], "classifier/tanh")
    value = exact.linear(value, "classifier.out_proj")
    if power:
        value = _sharpen(graph, value, power)
    graph.node("Identity", [value], "logits")
    dims = ["batch", "length"]
    proto = helper.make_graph(
        graph.nodes,
        "roberta_classifier",
        [
            helper.make_tensor_value_info(n, TensorProto.INT64, dims)
            for n in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", shape.labels])],
        graph.constants,
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)],
        producer_name="newsbeam",
    )
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model
