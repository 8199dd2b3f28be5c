"""Fit scores to what they mean: a temperature that depends on how clear the case is."""

from __future__ import annotations

import numpy as np

from models.calibrate import fit_temperature, negative_log_likelihood
from models.metrics import join_windows, log_softmax

#: A smaller margin counts as this one: nothing is divided by zero, and no case is quite undecided.
SMALLEST_MARGIN = 1e-3
_POWERS = np.arange(0.0, 0.51, 0.01)
_MANY_LABELS = 100
#: Temperatures that few texts may speak for.
_CAREFUL = np.geomspace(0.25, 4, 200)


def sharpen(logits: np.ndarray, power: float) -> np.ndarray:
    """Logits (rows, labels) times their margin, first over second, to the power.

    No label changes its place. What was clear becomes clearer, what was not less clear: labels
    smoothed in training leave a model too modest above and too bold below.
    """
    second, first = np.sort(logits, axis=1)[:, -2:].T
    margin = np.maximum(first - second, SMALLEST_MARGIN)
    found: np.ndarray = logits * margin[:, None] ** power
    return found


def fit(
    logits: np.ndarray,
    targets: np.ndarray,
    windows: np.ndarray | None = None,
    long_text: str = "average",
) -> tuple[float, float]:
    """The power and the temperature with the least cross entropy: (power, temperature).

    Args:
        logits: texts x labels; or windows x labels, those of a text one after the other.
        targets: for each text the index of its label.
        windows: how many windows each text has; None is one each.
        long_text: how their scores are joined.
    """
    best = (np.inf, 0.0, 1.0)
    # Of a thousand labels each power takes seconds.
    for power in _POWERS if logits.shape[1] <= _MANY_LABELS else _POWERS[::5]:
        sharpened = sharpen(logits, float(power))
        temperature = fit_temperature(sharpened, targets, windows, long_text)
        loss = negative_log_likelihood(sharpened, targets, temperature, windows, long_text)
        best = min(best, (loss, float(power), temperature))
    return best[1], best[2]


def fit_few(
    logits: np.ndarray,
    targets: np.ndarray,
    windows: np.ndarray | None = None,
    long_text: str = "average",
) -> tuple[float, float]:
    """The same for few texts: (0, temperature).

    As if two more texts had been wrong in part (Platt's targets): texts that all are right would
    otherwise have scores of 1.
    """
    texts, labels = len(targets), logits.shape[1]
    counts = np.ones(texts, int) if windows is None else windows
    doubt = 1 / (texts + 2)
    best = (np.inf, 1.0)
    for temperature in _CAREFUL:
        log_scores = join_windows(log_softmax(logits, float(temperature)), counts, long_text)
        right = log_scores[np.arange(texts), targets].mean()
        loss = -(1 - doubt) * right - doubt * log_scores.sum(1).mean() / labels
        best = min(best, (float(loss), float(temperature)))
    return 0.0, best[1]
