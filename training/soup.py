"""Average the weights of checkpoints: a model soup, which generalizes better than its ingredients."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from training.config import SoupConfig


def soup(config: SoupConfig, root: Path) -> None:
    """Write `runs/NAME`: the weighted mean of other runs' weights.

    The runs have to be of one descent, so that their weights lie in one valley.
    """
    target = root / "runs" / config.name
    first = root / "runs" / config.of[0]
    target.mkdir(parents=True, exist_ok=True)
    mean: dict[str, torch.Tensor] = {}
    for name, share in zip(config.of, config.shares, strict=True):
        for key, array in load_file(root / "runs" / name / "model.safetensors").items():
            mean[key] = share * array + mean[key] if key in mean else share * array
    save_file(mean, target / "model.safetensors")
    for file in ("config.json", "tokenizer.json"):
        shutil.copyfile(first / file, target / file)
    (target / "run.json").write_text(json.dumps({"of": config.of, "shares": config.shares}) + "\n")
