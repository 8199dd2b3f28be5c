"""Chooses the score from which a cheap model's answer stands: cost against what it loses, measured.

Two models classify the same labelled texts. For every candidate score that says what a cascade of them
would answer, so nothing is classified again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from models.bundle import Bundle
from models.classifier import RawOutput, TextClassifier
from models.errors import BundleError
from models.labelled_news import LabelledNews
from models.metrics import (
    CALIBRATION_BINS,
    calibration,
    calibration_bin,
    expected_calibration_error,
    join_windows,
    log_softmax,
)
from models.reading import Reading
from models.scores import ScoreSettings

#: Hundredths; and finer steps below 1, where the scores of models that are sure of all crowd.
CANDIDATES = (*(i / 100 for i in range(1, 100)), 0.995, 0.998, 0.999, 0.9995, 0.9999)
#: Texts that one model is asked about before the other one's turn: what else the machine does then is
#: the same for both.
CHUNK = 64
#: How often texts are drawn anew, to see by how much chance moves a calibration error.
RESAMPLES = 1000


class NoScoreError(ValueError):
    """No score keeps what was asked for. Its message is one line: why, and what to do."""


class Answers(NamedTuple):
    """What a model said about texts.

    Attributes:
        log_scores: Logarithms of the scores, texts x labels.
        sureness: For each text the score that decides whether the answer stands in a cascade.
        tokens: For each text how many of its tokens were looked at.
        seconds: CPU time from texts to logits.
    """

    log_scores: np.ndarray
    sureness: np.ndarray
    tokens: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Figures:
    """How good answers are.

    Attributes:
        accuracy: The share that was right, 0 to 1.
        expected_calibration_error: How far scores and accuracy are apart, in 15 bins.
        cross_entropy: The mean of the right label's.
    """

    accuracy: float
    expected_calibration_error: float
    cross_entropy: float


@dataclass(frozen=True)
class Point(Figures):
    """What a cascade does with one score.

    Attributes:
        min_score: The score from which on the cheap model's answer stands.
        share: The share of texts that reach the full model, 0 to 1.
        cost: CPU time, as a ratio to that of the full model alone. Tokenizing is counted for each
            model that is asked, which a cascade does once: it costs a little less.
        loss: By how much it is right less often than the full model.
        most_loss: That, and a standard error of it.
        calibration_loss: By how much its calibration error is larger than the full model's.
        most_calibration_loss: That, and a standard error of it.
    """

    min_score: float
    share: float
    cost: float
    loss: float
    most_loss: float
    calibration_loss: float
    most_calibration_loss: float

    @property
    def worst(self) -> float:
        """The larger of what accuracy and calibration lose, each with a standard error."""
        return max(self.most_loss, self.most_calibration_loss)


@dataclass(frozen=True)
class Curve:
    """Cost against accuracy over candidate scores.

    Attributes:
        names: What the cheap model and the full one are called.
        samples: The texts that it was measured on.
        cheap_cost: CPU time of the cheap model, as a ratio to that of the full one.
        cheap: How good the cheap model alone is.
        full: How good the full model alone is.
        points: By score, the lowest first.
    """

    names: tuple[str, str]
    samples: int
    cheap_cost: float
    cheap: Figures
    full: Figures
    points: tuple[Point, ...]

    def at(self, min_score: float) -> Point:
        """The point of a score that was among the candidates."""
        return next(point for point in self.points if point.min_score == min_score)

    def choose(self, loss: float) -> Point:
        """The lowest score from which on accuracy and calibration lose no more than so much.

        Each may be worse than the full model's by `loss`, a standard error included, at this score
        and at every higher candidate: on some thousands of texts, single low scores look as good by
        chance. With n texts no loss below 1/n can be told from none.

        Raises:
            NoScoreError: There is none at which a cascade costs less than the full model alone, or the
                cheap model does by itself.
        """
        cheap, full = self.names
        if loss < 1 / self.samples:
            raise NoScoreError(
                f"a loss of {loss:g} can't be seen on {self.samples:,} texts; give more of them, or a "
                f"--loss of {_up(1 / self.samples):g} or more"
            )
        worst = np.maximum.accumulate([point.worst for point in self.points][::-1])[::-1]
        cheaper = [i for i, point in enumerate(self.points) if point.cost < 1]
        if not cheaper:
            raise NoScoreError(
                f"{cheap} costs {self.cheap_cost:.2f} of what {full} does and is too seldom sure: no "
                f"score makes the two cost less than {full} alone; use that"
            )
        kept = [i for i in cheaper if worst[i] <= loss]
        if not kept:
            least = _up(float(worst[cheaper].min()))
            raise NoScoreError(
                f"no score at which the two cost less than {full} alone loses at most {loss:g}, a "
                f"standard error included; give a --loss of {least:g} or more, more texts, or use {full}"
            )
        chosen = self.points[kept[0]]
        if not chosen.share:
            raise NoScoreError(
                f"{cheap} alone loses at most {loss:g}: use it as it is, or give a smaller --loss"
            )
        return chosen

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain values."""
        return asdict(self)


def ask(
    cascade: Bundle,
    texts: Sequence[str],
    progress: Callable[[int], None] | None = None,
    clock: Callable[[], float] = time.process_time,
) -> tuple[Answers, Answers]:
    """Has both models of a cascade classify texts, read as the cascade would read them.

    They take turns, and CPU time is what counts: neither is hurt by what else the machine does.

    Args:
        cascade: A cascade of two models, with whatever score.
        texts: The texts; at least one.
        progress: Called with how many texts were classified by both since the last call.
        clock: What time is taken by, in seconds.

    Raises:
        BundleError: A model cannot be used.
        ValueError: A text is empty.
        ModelError: A model could not classify one of them.
    """
    reading = Reading.of(cascade)
    settings = ScoreSettings(
        long_text=reading.long_text,
        window_tokens=None if reading.long_text == "truncate" else reading.window_tokens,
        max_windows=reading.max_windows,
    )
    cheap, full = (
        TextClassifier(stage.bundle, reading.max_length, settings) for stage in cascade.stages
    )
    parts: dict[TextClassifier, list[RawOutput]] = {cheap: [], full: []}
    seconds = dict.fromkeys(parts, 0.0)
    turns = [cheap, full]
    for begin in range(0, len(texts), CHUNK):
        chunk = texts[begin : begin + CHUNK]
        for classifier in turns:
            began = clock()
            parts[classifier].append(classifier.logits(chunk))
            seconds[classifier] += clock() - began
        turns.reverse()
        if progress:
            progress(len(chunk))
    return _answers(cheap, parts[cheap], seconds[cheap]), _answers(full, parts[full], seconds[full])


def _answers(classifier: TextClassifier, parts: Sequence[RawOutput], seconds: float) -> Answers:
    logits = np.concatenate([part.logits for part in parts])
    windows = np.array([count for part in parts for count in part.windows])
    scores = log_softmax(logits, classifier.temperatures[0])
    return Answers(
        join_windows(scores, windows, classifier.reading.long_text),
        # As `ModelCascade` judges, however windows are joined.
        np.exp(join_windows(scores, windows, "average").max(axis=1)),
        np.array([count for part in parts for count in part.tokens]),
        seconds,
    )


def targets_of(news: LabelledNews, full: Answers) -> tuple[np.ndarray, int | None]:
    """The labels of texts, and the number of the first one where they are numbers.

    Where they may be read in two ways, it is the one in which the full model is right more often.
    """
    targets = np.array(news.targets)
    if news.other_targets is None or news.labels_from is None:
        return targets, news.labels_from
    other = np.array(news.other_targets)
    predicted = full.log_scores.argmax(axis=1)
    if (predicted == other).sum() > (predicted == targets).sum():
        return other, 1 - news.labels_from
    return targets, news.labels_from


def draw_curve(
    names: tuple[str, str],
    cheap: Answers,
    full: Answers,
    targets: np.ndarray,
    candidates: Sequence[float] = CANDIDATES,
) -> Curve:
    """What cascades of two models would do with each candidate score.

    Args:
        names: What the models are called.
        cheap: What the cheap one said about some texts.
        full: What the full one said about the same texts.
        targets: The index of the label of each text.
        candidates: The scores, ascending.

    Raises:
        BundleError: The cheap one is not cheaper.
    """
    cheap_cost = cheap.seconds / full.seconds
    if cheap_cost >= 1:
        raise BundleError(
            f"models {names[0]} and {names[1]}: the first costs {cheap_cost:.2f} times what the second "
            "does; name the cheaper one first"
        )
    samples = len(targets)
    ours, theirs = _Outcomes.of(cheap, targets), _Outcomes.of(full, targets)
    either = _Either(cheap.sureness, candidates)
    nothing = np.zeros(samples)
    share = either.totals(nothing, np.ones(samples)) / samples
    cost = cheap_cost + either.totals(nothing, full.tokens) / full.tokens.sum()
    accuracy = either.totals(ours.right, theirs.right) / samples
    cross_entropy = either.totals(ours.losses, theirs.losses) / samples
    # Texts that only one has right, among those of which the cheap one is sure.
    lost = either.totals(theirs.right & ~ours.right, nothing)
    won = either.totals(ours.right & ~theirs.right, nothing)
    loss = (lost - won) / samples
    # One more than there are: that none was seen does not say that there is none.
    most_loss = loss + np.sqrt(lost + won + 1) / samples
    error, calibration_loss = _calibration(either, ours, theirs, np.ones(samples))
    drawn = np.random.default_rng(0)
    spread = np.std(
        [
            _calibration(
                either,
                ours,
                theirs,
                np.bincount(drawn.integers(0, samples, samples), minlength=samples),
            )[1]
            for _ in range(RESAMPLES)
        ],
        axis=0,
    )
    columns = (accuracy, error, cross_entropy, np.array(candidates), share, cost, loss, most_loss)
    rows = np.stack([*columns, calibration_loss, calibration_loss + spread], axis=1)
    points = tuple(Point(*row) for row in rows.tolist())
    return Curve(names, samples, cheap_cost, ours.figures(), theirs.figures(), points)


class _Outcomes(NamedTuple):
    """How right a model was, text by text."""

    right: np.ndarray
    losses: np.ndarray
    confidence: np.ndarray

    @classmethod
    def of(cls, answers: Answers, targets: np.ndarray) -> _Outcomes:
        scores = answers.log_scores
        # The maxima of windows do not add up to 1; any other scores do already.
        losses = -log_softmax(scores)[np.arange(len(targets)), targets]
        return cls(scores.argmax(axis=1) == targets, losses, np.exp(scores.max(axis=1)))

    def figures(self) -> Figures:
        bins = calibration(self.confidence, self.right)
        return Figures(
            float(self.right.mean()), expected_calibration_error(bins), float(self.losses.mean())
        )


class _Either:
    """For every candidate score, which of two models answers each text.

    Args:
        sureness: For each text the cheap model's score.
        candidates: The scores, ascending.
    """

    def __init__(self, sureness: np.ndarray, candidates: Sequence[float]) -> None:
        # How many candidates the score reaches: at those, the cheap model's answer stands.
        self._reached = np.searchsorted(candidates, sureness, side="right")
        self._groups = len(candidates) + 1

    def totals(self, of_cheap: np.ndarray, of_full: np.ndarray) -> np.ndarray:
        """The sum, for each candidate, of what texts have of the model that answers them.

        Args:
            of_cheap: A number for each text, if the cheap model answers it.
            of_full: The same, if the full model does.
        """
        one = np.zeros(len(of_cheap), int)
        return self.in_bins(of_cheap, one, of_full, one, 1)[:, 0]

    def in_bins(
        self,
        of_cheap: np.ndarray,
        cheap_bins: np.ndarray,
        of_full: np.ndarray,
        full_bins: np.ndarray,
        bins: int = CALIBRATION_BINS,
    ) -> np.ndarray:
        """As `totals`, for each bin: candidates x bins.

        Args:
            of_cheap: A number for each text, if the cheap model answers it.
            cheap_bins: The bin that it goes to then.
            of_full: The same, if the full model does.
            full_bins: The bin that it goes to then.
            bins: How many there are.
        """
        cheap, full = (
            np.bincount(self._reached * bins + places, values, self._groups * bins)
            for values, places in ((of_cheap, cheap_bins), (of_full, full_bins))
        )
        # The cheap model's answer stands up to the candidate that its score reaches.
        stands = cheap.reshape(-1, bins)[::-1].cumsum(axis=0)[::-1][1:]
        found: np.ndarray = stands + full.reshape(-1, bins).cumsum(axis=0)[:-1]
        return found


def _calibration(
    either: _Either, ours: _Outcomes, theirs: _Outcomes, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The calibration error at each candidate, and by how much it is larger than the full model's.

    Args:
        either: Who answers what.
        ours: How right the cheap model is.
        theirs: How right the full model is.
        counts: How often each text counts.
    """
    of_cheap = counts * (ours.confidence - ours.right)
    of_full = counts * (theirs.confidence - theirs.right)
    bins, full_bins = calibration_bin(ours.confidence), calibration_bin(theirs.confidence)
    samples = counts.sum()
    found = np.abs(either.in_bins(of_cheap, bins, of_full, full_bins)).sum(axis=1) / samples
    alone = np.abs(np.bincount(full_bins, of_full, CALIBRATION_BINS)).sum() / samples
    return found, found - alone


def _up(loss: float) -> float:
    """A loss that is a little larger, in few digits."""
    return math.ceil(loss * 10_000) / 10_000
