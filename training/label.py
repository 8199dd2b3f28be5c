"""Score every training row with a finished run: what another run learns from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from training import prepare, scores

SCORES, STATES = "soft_labels.npy", "states.npy"


def label(folder: Path, tokens_folder: Path) -> None:
    """Write beside the run's weights what it makes of each training row.

    `soft_labels.npy` (rows, labels) are probabilities; `states.npy` (rows, hidden), float16, is
    what its classifier reads.
    """
    model = scores.build(folder)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    logits, states = scores.outputs(model, prepare.load_trained(tokens_folder))
    np.save(folder / SCORES, torch.softmax(torch.from_numpy(logits), -1).numpy())
    np.save(folder / STATES, states.astype(np.float16))
