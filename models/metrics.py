"""The figures of a classifier, from its logits and the truth: numpy, no model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

#: Bins of the expected calibration error and the reliability diagram.
CALIBRATION_BINS = 15
#: The normal quantile of a 95% confidence interval.
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class LabelFigures:
    """Figures of one label.

    Attributes:
        label: The label.
        precision: Of what was given this label, how much had it; 0 where nothing was.
        recall: Of what had this label, how much was given it; 0 where nothing had.
        f1: Their harmonic mean.
        support: How many texts had this label.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class CalibrationBin:
    """The texts whose score lies in one bin.

    Attributes:
        low: Lower bound of the score, exclusive (the first bin includes 0).
        high: Upper bound, inclusive.
        count: How many texts.
        confidence: Their mean score; 0 where there are none.
        accuracy: How many of them were right, 0 to 1; 0 where there are none.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def log_softmax(logits: np.ndarray, temperature: float | np.ndarray = 1.0) -> np.ndarray:
    """Logarithms of the softmax scores, texts x labels, in float64.

    Args:
        logits: Texts x labels.
        temperature: What they are divided by; of each text, texts x 1, where that differs.
    """
    shifted = (logits.astype(np.float64) - logits.max(axis=1, keepdims=True)) / temperature
    scores: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return scores


def join_windows(log_scores: np.ndarray, windows: np.ndarray, long_text: str) -> np.ndarray:
    """Logarithms of texts' scores, from those of their windows; as `score_windows` joins them.

    Args:
        log_scores: Windows x labels, the windows of a text one after the other.
        windows: How many windows each text has, at least one.
        long_text: `max` for the maximum for each label, else the average.

    Returns:
        Texts x labels.
    """
    if len(windows) == len(log_scores):
        return log_scores
    first = np.cumsum(windows) - windows
    joined: np.ndarray
    if long_text == "max":
        joined = np.maximum.reduceat(log_scores, first, axis=0)
    else:
        joined = np.logaddexp.reduceat(log_scores, first, axis=0) - np.log(windows)[:, None]
    return joined


def confusion_matrix(targets: np.ndarray, predicted: np.ndarray, labels: int) -> np.ndarray:
    """How many texts of each label (row) were given each label (column)."""
    cells = np.bincount(targets * labels + predicted, minlength=labels * labels)
    return cells.reshape(labels, labels)


def label_figures(confusion: np.ndarray, labels: tuple[str, ...]) -> tuple[LabelFigures, ...]:
    """Precision, recall and F1 of every label."""
    right = confusion.diagonal().astype(np.float64)
    given, had = confusion.sum(axis=0), confusion.sum(axis=1)
    precision = right / np.maximum(given, 1)
    recall = right / np.maximum(had, 1)
    f1 = 2 * right / np.maximum(given + had, 1)
    return tuple(
        LabelFigures(label, float(precision[i]), float(recall[i]), float(f1[i]), int(had[i]))
        for i, label in enumerate(labels)
    )


def macro(confusion: np.ndarray, figures: tuple[LabelFigures, ...]) -> tuple[float, float, float]:
    """Precision, recall and F1: the plain mean over the labels that occur, whatever their size.

    A label occurs if a text had it or was given it.
    """
    occurs = (confusion.sum(axis=0) + confusion.sum(axis=1)) > 0
    there = [f for f, o in zip(figures, occurs, strict=True) if o]
    n = len(there)
    return (
        sum(f.precision for f in there) / n,
        sum(f.recall for f in there) / n,
        sum(f.f1 for f in there) / n,
    )


def wilson_interval(right: int, total: int, z: float = Z_95) -> tuple[float, float]:
    """The confidence interval of a share (Wilson's score interval; 95% by default)."""
    share = right / total
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    centre = share + z * z / (2 * total)
    scale = 1 + z * z / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def calibration_bin(confidence: np.ndarray, bins: int = CALIBRATION_BINS) -> np.ndarray:
    """For each score the number of its bin: see `calibration`."""
    place: np.ndarray = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return place


def calibration(
    confidence: np.ndarray, right: np.ndarray, bins: int = CALIBRATION_BINS
) -> tuple[CalibrationBin, ...]:
    """Sorts texts into bins of equal width by their score.

    Args:
        confidence: For each text the score of its category, 0 to 1.
        right: For each text whether the category was right.
        bins: How many bins.
    """
    place = calibration_bin(confidence, bins)
    counts = np.bincount(place, minlength=bins)
    some = np.maximum(counts, 1)
    mean = np.bincount(place, weights=confidence, minlength=bins) / some
    share = np.bincount(place, weights=right.astype(np.float64), minlength=bins) / some
    return tuple(
        CalibrationBin(i / bins, (i + 1) / bins, int(counts[i]), float(mean[i]), float(share[i]))
        for i in range(bins)
    )


def expected_calibration_error(bins: tuple[CalibrationBin, ...]) -> float:
    """How far score and accuracy are apart: the mean over the bins, weighted by their counts."""
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.confidence - b.accuracy) for b in bins) / total
