"""Score every training row with a finished run: the soft labels another run learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from training import prepare, scores


def label(folder: Path, tokens_folder: Path) -> None:
    """Write `soft_labels.npy` (rows, labels), probabilities, beside the run's weights."""
    model = scores.build(folder)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    values = torch.from_numpy(scores.logits(model, prepare.load(tokens_folder, "train", "extra")))
    np.save(folder / "soft_labels.npy", torch.softmax(values, -1).numpy())
