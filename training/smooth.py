"""Find how far each product's inputs reach, so that int8 spends its levels where they are needed.

A few channels of a transformer reach ten times as far as the others, and dynamic int8 gives all of a
row one range. `graph` divides each channel by the square root of its reach and multiplies the weights
by it, which changes nothing in float (SmoothQuant, arXiv 2211.10438).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from training import data, scores

_ROWS = 300
_ENCODER = "roberta.encoder"


def reaches(run: Path, tokens: data.Tokens, seed: int = 0) -> Mapping[str, np.ndarray]:
    """By the name of each encoder product: the largest absolute value of its inputs (channels,).

    Args:
        run: a checkpoint.
        tokens: training articles; 300 of them are looked at.
        seed: which.
    """
    model = scores.build(run)
    model.load_state_dict(load_file(run / "model.safetensors"))
    model.eval()
    found: dict[str, np.ndarray] = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor], output: object) -> None:
            reach = inputs[0].abs().flatten(0, -2).amax(0).float().numpy()
            found[name] = np.maximum(found.get(name, 0), reach)

        return hook

    for name, module in model.roberta.encoder.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(watch(f"{_ENCODER}.{name}"))
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(tokens), min(_ROWS, len(tokens)), replace=False)
    with torch.inference_mode():
        for row in rows:
            scores.forward(model, torch.from_numpy(tokens.row(int(row))[None].astype(np.int64)))
    return found
