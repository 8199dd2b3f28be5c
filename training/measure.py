"""Measure logits against labels: accuracy, loss, calibration, per class, confusion."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from training.scores import accuracy, log_softmax, loss

_BINS = 15


@dataclass(frozen=True)
class Report:
    """What a classifier is worth on labelled rows."""

    rows: int
    accuracy: float
    accuracy_low: float  # 95% Wilson interval
    accuracy_high: float
    loss: float
    expected_calibration_error: float  # 15 bins of equal width
    precision: list[float]
    recall: list[float]
    f1: list[float]
    macro_f1: float
    confusion: list[list[int]]  # [label][predicted]

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)


def wilson(share: float, rows: int, z: float = 1.96) -> tuple[float, float]:
    """95% confidence interval of a share of `rows`."""
    middle = share + z * z / (2 * rows)
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return (middle - half) / (1 + z * z / rows), (middle + half) / (1 + z * z / rows)


def reliability(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Array (bins, 3): rows, mean score, accuracy of the predicted label, by score."""
    score = np.exp(log_softmax(values)).max(1)
    right = values.argmax(1) == labels
    bins = np.minimum((score * _BINS).astype(int), _BINS - 1)
    found = np.zeros((_BINS, 3))
    for k in range(_BINS):
        inside = bins == k
        if inside.any():
            found[k] = inside.sum(), score[inside].mean(), right[inside].mean()
    return found


def calibration_error(values: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error: mean gap between score and accuracy over the bins' rows."""
    table = reliability(values, labels)
    return float((table[:, 0] * np.abs(table[:, 1] - table[:, 2])).sum() / len(labels))


def temperature(values: np.ndarray, labels: np.ndarray) -> float:
    """The divisor of the logits that makes the loss least, by golden section on its logarithm."""
    low, high = math.log(0.2), math.log(5.0)
    ratio = (math.sqrt(5) - 1) / 2
    while high - low > 1e-5:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(values / math.exp(left), labels) < loss(values / math.exp(right), labels):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def report(values: np.ndarray, labels: np.ndarray) -> Report:
    """Measure `values` (rows, classes) against `labels` (rows,)."""
    classes = values.shape[1]
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, values.argmax(1)), 1)
    hits = confusion.diagonal()
    precision = hits / np.maximum(1, confusion.sum(0))
    recall = hits / np.maximum(1, confusion.sum(1))
    f1 = 2 * precision * recall / np.maximum(1e-12, precision + recall)
    share = accuracy(values, labels)
    low, high = wilson(share, len(labels))
    return Report(
        rows=len(labels),
        accuracy=share,
        accuracy_low=low,
        accuracy_high=high,
        loss=loss(values, labels),
        expected_calibration_error=calibration_error(values, labels),
        precision=precision.tolist(),
        recall=recall.tolist(),
        f1=f1.tolist(),
        macro_f1=float(f1.mean()),
        confusion=confusion.tolist(),
    )
