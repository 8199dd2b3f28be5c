"""Turn an int8 bundle that `graph` wrote back into a float checkpoint to train on from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

_WORDS = "roberta.embeddings.word_embeddings.weight"
_POSITIONS = "roberta.embeddings.position_embeddings.weight"
_TYPES = "roberta.embeddings.token_type_embeddings.weight"


def state_dict(model_file: Path) -> dict[str, torch.Tensor]:
    """Read every weight of a quantized RoBERTa classifier as float32.

    Products that `graph` put side by side come apart again. The token type's embedding stays in
    the positions', where the graph added it.

    Raises:
        ValueError: the file is not a quantized graph that `graph` wrote.
    """
    graph = onnx.load(str(model_file)).graph
    arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    if "word_embeddings_int8" not in arrays:
        raise ValueError(f"{model_file} is not an int8 graph of `python -m training bundle`")
    words = arrays["word_embeddings_int8"].astype(np.float32) * arrays["word_embeddings_scale"]
    positions = arrays["positions"]
    # RoBERTa's first position is 2: rows 0 and 1 of the table belong to no token.
    unused = np.zeros((2, positions.shape[1]), np.float32)
    weights: dict[str, np.ndarray] = {
        _WORDS: words,
        _POSITIONS: np.concatenate([unused, positions]),
        _TYPES: np.zeros((1, positions.shape[1]), np.float32),
    }
    for name, array in arrays.items():
        stem, _, kind = name.rpartition(".")
        if kind == "bias" and f"{stem}.weight_int8" in arrays:
            integers, scale = arrays[f"{stem}.weight_int8"], arrays[f"{stem}.weight_scale"]
            layers = stem.split("+")
            together = (integers.astype(np.float32) * scale).T
            together = together * arrays.get(f"{stem}.smooth", 1)
            for layer, rows, bias in zip(
                layers,
                np.split(together, len(layers)),
                np.split(array, len(layers)),
                strict=True,
            ):
                weights[f"{layer}.weight"], weights[f"{layer}.bias"] = rows, bias
        elif kind == "weight" and stem.startswith("classifier."):
            weights[name] = array.T
        elif kind in ("weight", "bias"):
            weights[name] = array
    return {k: torch.from_numpy(np.array(v, np.float32, order="C")) for k, v in weights.items()}
