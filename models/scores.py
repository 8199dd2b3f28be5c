"""What logits mean: scores, the category, and the labels above a threshold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.checks import is_number
from models.long_text import check_long_text

if TYPE_CHECKING:
    from models.bundle import Bundle

ACTIVATIONS = ("softmax", "sigmoid")


@dataclass(frozen=True)
class ScoreSettings:
    """How logits become scores.

    Attributes:
        activation: `softmax` (the scores add up to 1) or `sigmoid` (each label for itself). None
            is the bundle's way: sigmoid for a multi-label model, softmax for any other.
        threshold: The score, 0 to 1, from which on a label counts.
        multi_label: Every label from the threshold on counts; otherwise only the category does.
            None is the bundle's way, but with `softmax`, where one label is right, never.
        temperature: Logits are divided by it: above 1 makes scores less sure of themselves,
            without changing the category. None is the bundle's, which its training measured; 1
            leaves them as they are.
        long_text: What the scores of a text's windows make: their `average`, or for each label
            their `max` (which do not add up to 1, then). With `truncate` a text has one window.

    Raises:
        ValueError: A setting is none of its choices; the message names them.
    """

    activation: str | None = None
    threshold: float = 0.5
    multi_label: bool | None = None
    temperature: float | None = None
    long_text: str = "truncate"

    def __post_init__(self) -> None:
        if self.activation is not None and self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation {self.activation!r}: choose one of {', '.join(ACTIVATIONS)}"
            )
        if not is_number(self.threshold) or not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold {self.threshold!r}: choose a score from 0 to 1")
        if not isinstance(self.multi_label, bool | None):
            raise ValueError(
                f"multi_label {self.multi_label!r}: choose True, False, or None to go by the model"
            )
        t = self.temperature
        if t is not None and not (is_number(t) and t > 0 and math.isfinite(t)):
            raise ValueError(f"temperature {t!r}: choose a number above 0")
        check_long_text(self.long_text)

    def of(self, bundle: Bundle) -> ScoreSettings:
        """These settings, with the bundle's where they leave it the choice."""
        activation = self.activation or ("sigmoid" if bundle.multi_label else "softmax")
        if activation == "softmax" and len(bundle.labels) == 1:
            raise ValueError(
                f"activation 'softmax': the one label of {bundle.name} would always score 1; choose "
                "sigmoid"
            )
        multi_label, temperature = self.multi_label, self.temperature
        if multi_label is None:
            multi_label = bundle.multi_label and activation == "sigmoid"
        if temperature is None:
            temperature = bundle.temperature
        return dataclasses.replace(
            self, activation=activation, multi_label=multi_label, temperature=temperature
        )


#: Those of a bundle that says nothing about its scores.
DEFAULT_SETTINGS = ScoreSettings("softmax", multi_label=False, temperature=1.0)


def score(
    logits: np.ndarray | Sequence[float], settings: ScoreSettings = DEFAULT_SETTINGS
) -> tuple[int, list[float]]:
    """Turns the logits of one text into scores.

    Args:
        logits: One number per label, all finite.
        settings: How; what they leave to a bundle is as in `DEFAULT_SETTINGS`.

    Returns:
        The index of the category (the highest logit; the first of equals), and the score of every
        label, 0 to 1.
    """
    # Plain floats: for a handful of labels they are several times faster than numpy.
    values: list[float] = logits.tolist() if isinstance(logits, np.ndarray) else list(logits)
    top = max(values)
    category = values.index(top)
    temperature = settings.temperature
    if temperature is not None and temperature != 1:
        # About the highest, so that no temperature is too low: it stays finite, and is 0 below.
        shift = 0.0 if settings.activation == "sigmoid" else top
        values = [(v - shift) / temperature for v in values]
        top = 0.0
    if settings.activation == "sigmoid":
        return category, [_sigmoid(v) for v in values]
    powers = [math.exp(v - top) for v in values]
    total = sum(powers)
    return category, [p / total for p in powers]


def score_windows(
    windows: Sequence[np.ndarray | Exception], settings: ScoreSettings = DEFAULT_SETTINGS
) -> tuple[int, list[float]]:
    """Turns the logits of a text's windows into the scores of the text.

    Args:
        windows: What the model gave for each window, logits or an error; at least one.
        settings: How; with `long_text` `max` the maximum for each label, else the average.

    Returns:
        The index of the category (the highest score; the first of equals), and the scores.

    Raises:
        Exception: The first error among the windows.
    """
    scored = []
    for logits in windows:
        if isinstance(logits, Exception):
            raise logits
        scored.append(score(logits, settings))
    if len(scored) == 1:
        return scored[0]
    columns = zip(*(scores for _, scores in scored), strict=True)
    if settings.long_text == "max":
        scores = [max(column) for column in columns]
    else:
        scores = [math.fsum(column) / len(scored) for column in columns]
    return scores.index(max(scores)), scores


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
