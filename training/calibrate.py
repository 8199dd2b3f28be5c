"""Fit scores to what they mean: a temperature that depends on how clear the case is."""

from __future__ import annotations

import numpy as np

from models.calibrate import fit_temperature, negative_log_likelihood

#: A smaller margin counts as this one: nothing is divided by zero, and no case is quite undecided.
SMALLEST_MARGIN = 1e-3
_POWERS = np.arange(0.0, 0.51, 0.01)


def sharpen(logits: np.ndarray, power: float) -> np.ndarray:
    """Logits (rows, labels) times their margin, first over second, to the power.

    No label changes its place. What was clear becomes clearer, what was not less clear: labels
    smoothed in training leave a model too modest above and too bold below.
    """
    second, first = np.sort(logits, axis=1)[:, -2:].T
    margin = np.maximum(first - second, SMALLEST_MARGIN)
    found: np.ndarray = logits * margin[:, None] ** power
    return found


def fit(logits: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """The power and the temperature with the least cross entropy: (power, temperature)."""
    best = (np.inf, 0.0, 1.0)
    for power in _POWERS:
        sharpened = sharpen(logits, float(power))
        temperature = fit_temperature(sharpened, targets)
        loss = negative_log_likelihood(sharpened, targets, temperature)
        best = min(best, (loss, float(power), temperature))
    return best[1], best[2]
