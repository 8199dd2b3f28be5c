"""Fits a temperature: the number that logits are divided by, so that scores mean what they say."""

from __future__ import annotations

import math

import numpy as np

from models.metrics import log_softmax

#: Temperatures that are looked at. Where no finite one is best (everything right, or everything
#: wrong), the bound is taken.
LOWEST, HIGHEST = 0.05, 20.0

_GOLDEN = (math.sqrt(5) - 1) / 2
# Relative: scores change by less than 1e-6 with it.
_PRECISION = 1e-6


def negative_log_likelihood(logits: np.ndarray, targets: np.ndarray, temperature: float) -> float:
    """Mean cross entropy of the softmax scores at a temperature.

    Args:
        logits: Texts x labels.
        targets: For each text the index of its label.
        temperature: What the logits are divided by.
    """
    log_scores = log_softmax(logits, temperature)
    return float(-log_scores[np.arange(len(targets)), targets].mean())


def fit_temperature(logits: np.ndarray, targets: np.ndarray) -> float:
    """The temperature at which the scores of labelled texts have the least cross entropy.

    Use texts that the model was not trained on, and others than those it is measured with. The
    cross entropy is convex in 1/temperature, so it has one minimum, which a golden-section search
    over the temperature's logarithm finds.

    Args:
        logits: Texts x labels, all finite.
        targets: For each text the index of its label, an integer.

    Returns:
        The temperature, from `LOWEST` to `HIGHEST`.

    Raises:
        ValueError: There are no texts, or not as many targets, or a target that is no label.
    """
    logits, targets = np.asarray(logits), np.asarray(targets)
    if logits.ndim != 2 or not logits.size or targets.shape != logits.shape[:1]:
        raise ValueError(
            f"logits of shape {list(logits.shape)} and targets of shape {list(targets.shape)}: "
            "give texts x labels and one target for each text"
        )
    if targets.min() < 0 or targets.max() >= logits.shape[1]:
        raise ValueError(
            f"targets from {targets.min()} to {targets.max()}: there are {logits.shape[1]} labels, "
            "from 0"
        )

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(logits, targets, math.exp(log_temperature))

    low, high = math.log(LOWEST), math.log(HIGHEST)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > _PRECISION:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return math.exp((low + high) / 2)
