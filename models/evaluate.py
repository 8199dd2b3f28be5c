"""Evaluates a classifier on labelled news: the figures of Spark NLP's model card, and more."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.classifier import TextClassifier
from models.labelled_news import LabelledNews
from models.metrics import (
    CalibrationBin,
    LabelFigures,
    calibration,
    confusion_matrix,
    expected_calibration_error,
    label_figures,
    log_softmax,
    macro,
    wilson_interval,
)

#: Rows of a step, as in the table of Spark NLP's model card.
BATCH_SIZE = 16
#: Steps handed to the model at a time, so that cores do not wait for each other after each.
STEPS_AT_A_TIME = 16


@dataclass(frozen=True)
class Evaluation:
    """The figures; names that begin with `eval_` are those of Hugging Face's Trainer.

    Attributes:
        model: Name and short hash of the model.
        samples: How many texts were classified.
        truncated: How many of them were longer than `max_length`.
        max_length: The most tokens of a text.
        batch_size: The texts of a step.
        labels: The labels, in the order of `confusion`.
        eval_loss: Mean cross entropy of the softmax scores.
        eval_accuracy: The share that was right, 0 to 1.
        accuracy_interval: Its 95% confidence interval (Wilson).
        eval_precision: Macro average: the plain mean over the labels.
        eval_recall: Macro average.
        eval_f1: Macro average.
        expected_calibration_error: How far scores and accuracy are apart, in 15 bins.
        eval_runtime: Seconds from texts to logits; loading is not counted.
        eval_samples_per_second: Texts per second.
        eval_steps_per_second: Steps of `batch_size` texts per second.
        per_label: Figures of each label.
        confusion: How many texts of each label (row) were given each label (column).
        calibration: What the calibration error is made of.
    """

    model: str
    samples: int
    truncated: int
    max_length: int
    batch_size: int
    labels: tuple[str, ...]
    eval_loss: float
    eval_accuracy: float
    accuracy_interval: tuple[float, float]
    eval_precision: float
    eval_recall: float
    eval_f1: float
    expected_calibration_error: float
    eval_runtime: float
    eval_samples_per_second: float
    eval_steps_per_second: float
    per_label: tuple[LabelFigures, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: tuple[CalibrationBin, ...]

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        return asdict(self)

    def to_json(self) -> str:
        """The figures as one line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws confusion matrix and reliability diagram into a file; see `models.plot.plot`.

        Raises:
            PlotError: matplotlib is not installed, or the file cannot be written.
        """
        from models.plot import plot  # it imports this module

        plot(self, path)


def evaluate(
    classifier: TextClassifier,
    news: LabelledNews,
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Classifies labelled news and compares.

    Args:
        classifier: The classifier; its settings do not matter, the scores here are softmax.
        news: The texts and their labels; at least one.
        batch_size: The texts of a step; it changes `eval_steps_per_second` and nothing else.
        progress: Called with how many texts were classified since the last call.

    Raises:
        ValueError: There are no texts, or `batch_size` is below 1.
        ModelError: The model could not classify one of the texts.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size {batch_size}: choose a number from 1 on")
    if not len(news):
        raise ValueError("no texts to evaluate")
    at_a_time = batch_size * STEPS_AT_A_TIME
    parts = []
    truncated = 0
    began = time.perf_counter()
    for begin in range(0, len(news), at_a_time):
        logits, cut = classifier.logits(news.texts[begin : begin + at_a_time])
        parts.append(logits)
        truncated += sum(cut)
        if progress:
            progress(len(logits))
    runtime = time.perf_counter() - began
    return figures(
        classifier, np.concatenate(parts), np.array(news.targets), truncated, batch_size, runtime
    )


def figures(
    classifier: TextClassifier,
    logits: np.ndarray,
    targets: np.ndarray,
    truncated: int,
    batch_size: int,
    runtime: float,
) -> Evaluation:
    """The figures of logits (texts x labels) that took `runtime` seconds, against the truth."""
    labels = classifier.labels()
    samples = len(targets)
    log_scores = log_softmax(logits)
    predicted = logits.argmax(axis=1)
    right = predicted == targets
    confusion = confusion_matrix(targets, predicted, len(labels))
    per_label = label_figures(confusion, labels)
    precision, recall, f1 = macro(confusion, per_label)
    bins = calibration(np.exp(log_scores.max(axis=1)), right)
    return Evaluation(
        model=classifier.bundle.model_id,
        samples=samples,
        truncated=truncated,
        max_length=classifier.max_length,
        batch_size=batch_size,
        labels=labels,
        eval_loss=float(-log_scores[np.arange(samples), targets].mean()),
        eval_accuracy=float(right.mean()),
        accuracy_interval=wilson_interval(int(right.sum()), samples),
        eval_precision=precision,
        eval_recall=recall,
        eval_f1=f1,
        expected_calibration_error=expected_calibration_error(bins),
        eval_runtime=runtime,
        eval_samples_per_second=samples / runtime,
        eval_steps_per_second=math.ceil(samples / batch_size) / runtime,
        per_label=per_label,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        calibration=bins,
    )
