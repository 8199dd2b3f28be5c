"""What logits mean: scores, the category, and the labels above a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ACTIVATIONS = ("softmax", "sigmoid")


@dataclass(frozen=True)
class ScoreSettings:
    """How logits become scores.

    Attributes:
        activation: `softmax` (the scores add up to 1) or `sigmoid` (each label for itself).
        threshold: The score, 0 to 1, from which on a label counts.
        multi_label: Every label from the threshold on counts; otherwise only the category does.
        temperature: Logits are divided by it: above 1 makes scores less sure of themselves,
            without changing the category. 1 leaves them as they are.

    Raises:
        ValueError: A setting is none of its choices; the message names them.
    """

    activation: str = "softmax"
    threshold: float = 0.5
    multi_label: bool = False
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation {self.activation!r}: choose one of {', '.join(ACTIVATIONS)}"
            )
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold {self.threshold}: choose a score from 0 to 1")
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise ValueError(f"temperature {self.temperature}: choose a number above 0")


DEFAULT_SETTINGS = ScoreSettings()


def score(
    logits: np.ndarray | Sequence[float], settings: ScoreSettings = DEFAULT_SETTINGS
) -> tuple[int, list[float]]:
    """Turns the logits of one text into scores.

    Args:
        logits: One number per label, all finite.
        settings: How.

    Returns:
        The index of the category (the highest logit; the first of equals), and the score of every
        label, 0 to 1.
    """
    # Plain floats: for a handful of labels they are several times faster than numpy.
    values: list[float] = logits.tolist() if isinstance(logits, np.ndarray) else list(logits)
    top = max(values)
    category = values.index(top)
    if settings.temperature != 1:
        values = [v / settings.temperature for v in values]
        top = values[category]
    if settings.activation == "softmax":
        powers = [math.exp(v - top) for v in values]
        total = sum(powers)
        return category, [p / total for p in powers]
    return category, [_sigmoid(v) for v in values]


def labels_above(
    category: int,
    scores: Sequence[float],
    labels: Sequence[str],
    settings: ScoreSettings = DEFAULT_SETTINGS,
) -> tuple[str, ...]:
    """The labels whose score reaches the threshold, highest first.

    Args:
        category: The index of the category, as `score` gave it.
        scores: The scores, as `score` gave them.
        labels: The labels, in the same order.
        settings: Without `multi_label`, only the category is looked at.
    """
    if not settings.multi_label:
        return (labels[category],) if scores[category] >= settings.threshold else ()
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    return tuple(labels[i] for i in order if scores[i] >= settings.threshold)


def _sigmoid(value: float) -> float:
    """1 / (1 + e^-value), without overflow."""
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    power = math.exp(value)
    return power / (1 + power)
