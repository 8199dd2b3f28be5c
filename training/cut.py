"""Keep some of a checkpoint's layers: where a smaller sibling starts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

_LAYER = re.compile(r"^(roberta\.encoder\.layer\.)(\d+)(\..+)$")


def cut(source: Path, target: Path, layers: tuple[int, ...]) -> None:
    """Write the checkpoint `target`: `source` with only `layers`, renumbered in that order.

    Raises:
        ValueError: the source has no such layer.
    """
    config = json.loads((source / "config.json").read_text())
    if wrong := [n for n in layers if not 0 <= n < config["num_hidden_layers"]]:
        raise ValueError(f"{source} has {config['num_hidden_layers']} layers, so no {wrong}")
    kept: dict[str, torch.Tensor] = {}
    for name, array in load_file(source / "model.safetensors").items():
        match = _LAYER.match(name)
        if match is None:
            kept[name] = array
        elif int(match[2]) in layers:
            kept[f"{match[1]}{layers.index(int(match[2]))}{match[3]}"] = array
    target.mkdir(parents=True, exist_ok=True)
    save_file(kept, target / "model.safetensors")
    config["num_hidden_layers"] = len(layers)
    (target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (target / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
