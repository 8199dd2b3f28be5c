"""Fits a temperature: the number that logits are divided by, so that scores mean what they say."""

from __future__ import annotations

import math

import numpy as np

from models.metrics import join_windows, log_softmax

#: Temperatures that are looked at. Where no finite one is best (everything right, or everything
#: wrong), the bound is taken.
LOWEST, HIGHEST = 0.05, 20.0

_GOLDEN = (math.sqrt(5) - 1) / 2
# Relative: scores change by less than 1e-6 with it.
_PRECISION = 1e-6
_AT_BOUND = 1e-3
# Where scores are joined, the search begins between neighbours of the best of so many temperatures.
_PLACES = 61


def at_a_bound(temperature: float) -> bool:
    """Whether a fitted temperature is as low or high as is looked at: then it says nothing."""
    return not LOWEST * (1 + _AT_BOUND) < temperature < HIGHEST * (1 - _AT_BOUND)


def negative_log_likelihood(
    logits: np.ndarray,
    targets: np.ndarray,
    temperature: float,
    windows: np.ndarray | None = None,
    long_text: str = "average",
) -> float:
    """Mean cross entropy of the softmax scores at a temperature.

    Args:
        logits: Texts x labels; or windows x labels, the windows of a text one after the other.
        targets: For each text the index of its label.
        temperature: What the logits are divided by.
        windows: How many windows each text has; None is one each.
        long_text: How their scores are joined: see `join_windows`. Where they do not add up to 1,
            as maxima do not, they are divided by their sum.
    """
    log_scores = log_softmax(logits, temperature)
    if windows is not None and len(windows) != len(logits):
        log_scores = log_softmax(join_windows(log_scores, windows, long_text))
    return float(-log_scores[np.arange(len(targets)), targets].mean())


def fit_temperature(
    logits: np.ndarray,
    targets: np.ndarray,
    windows: np.ndarray | None = None,
    long_text: str = "average",
) -> float:
    """The temperature at which the scores of labelled texts have the least cross entropy.

    Use texts that the model was not trained on, and others than those it is measured with. The
    cross entropy is convex in 1/temperature, so it has one minimum, which a golden-section search
    over the temperature's logarithm finds. Of joined scores it need not be, and may have several:
    the lowest is looked for on a grid first.

    Args:
        logits: Texts x labels, all finite; or windows x labels, the windows of a text one after the
            other.
        targets: For each text the index of its label, an integer.
        windows: How many windows each text has; None is one each.
        long_text: How the scores of windows are joined: `average` or `max`.

    Returns:
        The temperature, from `LOWEST` to `HIGHEST`.

    Raises:
        ValueError: There are no texts, or not as many targets, or a target that is no label, or
            not as many windows as the texts have together.
    """
    logits, targets = np.asarray(logits), np.asarray(targets)
    counts = np.ones(logits.shape[:1], int) if windows is None else np.asarray(windows)
    if logits.ndim != 2 or not logits.size or targets.shape != counts.shape:
        raise ValueError(
            f"logits of shape {list(logits.shape)} and targets of shape {list(targets.shape)}: "
            "give texts x labels and one target for each text"
        )
    if counts.min() < 1 or counts.sum() != len(logits):
        raise ValueError(
            f"logits of {len(logits)} windows, and texts that have {counts.sum()}: give for each "
            "text how many windows it has, 1 or more"
        )
    if targets.min() < 0 or targets.max() >= logits.shape[1]:
        raise ValueError(
            f"targets from {targets.min()} to {targets.max()}: there are {logits.shape[1]} labels, "
            "from 0"
        )

    def loss(log_temperature: float) -> float:
        temperature = math.exp(log_temperature)
        return negative_log_likelihood(logits, targets, temperature, counts, long_text)

    low, high = math.log(LOWEST), math.log(HIGHEST)
    if len(counts) != len(logits):
        places = np.linspace(low, high, _PLACES).tolist()
        best = min(range(_PLACES), key=lambda i: loss(places[i]))
        low, high = places[max(best - 1, 0)], places[min(best + 1, _PLACES - 1)]
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
