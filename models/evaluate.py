"""Evaluates a classifier on labelled news: the figures of Spark NLP's model card, and more."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from models.bundle import Bundle
from models.calibrate import fit_temperature
from models.classifier import RawOutput, TextClassifier
from models.errors import BundleError
from models.groups import GroupFigures, LengthFigures, by_length, by_value
from models.labelled_news import LabelledNews
from models.metrics import (
    CalibrationBin,
    LabelFigures,
    calibration,
    confusion_matrix,
    expected_calibration_error,
    join_windows,
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
        truncated: How many of them were longer than what is read.
        max_length: The most tokens of a row.
        long_text: What became of longer texts: `truncate`, `average` or `max`.
        window_tokens: The tokens of a longer text's rows.
        max_windows: The most rows of a text; 1 where it is truncated.
        temperature: What the logits were divided by; of a cascade those of its last model were.
        batch_size: The texts of a step.
        labels: The labels, in the order of `confusion`.
        eval_loss: Mean cross entropy of the scores (divided by their sum, where the maximum of
            windows was taken).
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
        fitted_temperature: The temperature that suits these texts best, where it was asked for.
        labels_from: The number of the first class in the data, 0 or 1; None where labels had names.
        by_length: Accuracy by how many tokens texts have.
        by_value: Accuracy by the value of a column, where that was asked for.
        by_model: Of a cascade accuracy by the model that answered.
        other_accuracy: The accuracy if the first class had the other number, where the labels fit
            both: the better reading was taken.
    """

    model: str
    samples: int
    truncated: int
    max_length: int
    long_text: str
    window_tokens: int
    max_windows: int
    temperature: float
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
    by_length: LengthFigures
    by_value: tuple[GroupFigures, ...] | None = None
    by_model: tuple[GroupFigures, ...] | None = None
    fitted_temperature: float | None = None
    labels_from: int | None = None
    other_accuracy: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        return asdict(self)

    def to_json(self) -> str:
        """The figures as one line of JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False)


def evaluate(
    classifier: TextClassifier,
    news: LabelledNews,
    batch_size: int = BATCH_SIZE,
    progress: Callable[[int], None] | None = None,
    calibrate: bool = False,
) -> Evaluation:
    """Classifies labelled news and compares.

    Args:
        classifier: The classifier. How it reads texts and its temperature count; the scores here
            are softmax, since each text has one label.
        news: The texts and their labels; at least one.
        batch_size: The texts of a step; it changes `eval_steps_per_second` and nothing else.
        progress: Called with how many texts were classified since the last call.
        calibrate: Fit a temperature to these texts: the one with the least `eval_loss`, as they are
            read. The other figures are without it.

    Raises:
        ValueError: There are no texts, or `batch_size` is below 1.
        BundleError: The model has one label, or is a cascade that is to be calibrated.
        ModelError: The model could not classify one of the texts.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size {batch_size}: choose a number from 1 on")
    if not len(news):
        raise ValueError("no texts to evaluate")
    if calibrate and classifier.bundle.cascade:
        names = " and ".join(stage.bundle.name for stage in classifier.bundle.stages)
        raise BundleError(
            f"model {classifier.bundle.name}: is a cascade, and each of its models has a temperature "
            f"of its own; calibrate {names}"
        )
    if len(classifier.labels()) == 1:
        raise BundleError(
            f"model {classifier.bundle.path}: has one label: every text would be right; evaluate a "
            "model with two labels or more"
        )
    at_a_time = batch_size * STEPS_AT_A_TIME
    parts = []
    began = time.perf_counter()
    for begin in range(0, len(news), at_a_time):
        part = classifier.logits(news.texts[begin : begin + at_a_time])
        parts.append(part)
        if progress:
            progress(len(part.windows))
    runtime = time.perf_counter() - began
    output = RawOutput(
        np.concatenate([part.logits for part in parts]),
        [cut for part in parts for cut in part.truncated],
        [count for part in parts for count in part.windows],
        [count for part in parts for count in part.tokens],
        [count for part in parts for count in part.lengths],
        parts[0].limit,
        [stage for part in parts for stage in part.answered],
    )
    targets = np.array(news.targets)
    evaluation = figures(classifier, output, targets, batch_size, runtime, news.values)
    evaluation = replace(evaluation, labels_from=news.labels_from)
    if news.other_targets is not None:
        other_targets = np.array(news.other_targets)
        other = figures(classifier, output, other_targets, batch_size, runtime, news.values)
        if other.eval_accuracy > evaluation.eval_accuracy:
            labels_from = 1 - (news.labels_from or 0)
            evaluation, other = replace(other, labels_from=labels_from), evaluation
            targets = other_targets
        evaluation = replace(evaluation, other_accuracy=other.eval_accuracy)
    if not calibrate:
        return evaluation
    fitted = fit_temperature(
        output.logits, targets, np.array(output.windows), classifier.reading.long_text
    )
    return replace(evaluation, fitted_temperature=fitted)


def figures(
    classifier: TextClassifier,
    output: RawOutput,
    targets: np.ndarray,
    batch_size: int,
    runtime: float,
    values: Sequence[str] | None = None,
) -> Evaluation:
    """The figures of an output that took `runtime` seconds, against the truth.

    Args:
        classifier: What gave the output.
        output: The output.
        targets: The index of the label of each text.
        batch_size: The texts of a step.
        runtime: Seconds from texts to logits.
        values: For each text the value that it is grouped by, if any.
    """
    labels = classifier.labels()
    samples = len(targets)
    reading, windows = classifier.reading, np.array(output.windows)
    temperatures = np.repeat(np.array(classifier.temperatures)[output.answered], windows)
    log_scores = join_windows(
        log_softmax(output.logits, temperatures[:, None]), windows, reading.long_text
    )
    # The maxima of windows do not add up to 1; any other scores do already.
    losses = -log_softmax(log_scores)[np.arange(samples), targets]
    predicted = log_scores.argmax(axis=1)
    right = predicted == targets
    confusion = confusion_matrix(targets, predicted, len(labels))
    per_label = label_figures(confusion, labels)
    precision, recall, f1 = macro(confusion, per_label)
    bins = calibration(np.exp(log_scores.max(axis=1)), right)
    return Evaluation(
        model=classifier.bundle.model_id,
        samples=samples,
        truncated=sum(output.truncated),
        max_length=reading.max_length,
        long_text=reading.long_text,
        window_tokens=reading.window_tokens,
        max_windows=reading.max_windows,
        temperature=classifier.temperatures[-1],
        batch_size=batch_size,
        labels=labels,
        eval_loss=float(losses.mean()),
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
        by_length=by_length(output.lengths, output.limit, right),
        by_value=None if values is None else by_value(values, right),
        by_model=_by_model(classifier.bundle, output.answered, right),
    )


def _by_model(
    bundle: Bundle, answered: Sequence[int], right: np.ndarray
) -> tuple[GroupFigures, ...] | None:
    if not bundle.cascade:
        return None
    return by_value([bundle.stages[stage].bundle.model_id for stage in answered], right)
