"""What logits mean: scores, the category, and the labels above a threshold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np

from models.checks import is_number
from models.long_text import LONG_TEXT, check_long_text, check_max_windows
from models.reading import Reading, check_tokens
from models.settings import Option, settings

if TYPE_CHECKING:
    from models.bundle import Bundle

ACTIVATIONS = ("softmax", "sigmoid")


@settings(panel="Scores")
class ScoreSettings:
    """How logits become scores.

    Raises:
        ValueError: A setting is none of its choices; the message names them.
    """

    activation: Annotated[
        str | None,
        Option(
            "softmax: one of the labels is right, the scores add up to 1. sigmoid: each label "
            "stands for itself. Default: sigmoid for a multi-label model (problem_type in its "
            "config.json), else softmax.",
            choices=ACTIVATIONS,
        ),
    ] = None
    threshold: Annotated[
        float,
        Option(
            "The score, 0 to 1, from which on a label is listed in labels; higher lists fewer, "
            "and leaves the category as it is."
        ),
    ] = 0.5
    multi_label: Annotated[
        bool | None,
        Option(
            "List every label from the threshold on, not the category alone; goes with "
            "--activation sigmoid. Default: on for a multi-label model without --activation softmax, "
            "else off."
        ),
    ] = None
    temperature: Annotated[
        float | None,
        Option(
            "What the model's logits are divided by: higher makes scores less sure of themselves, "
            "and leaves the category as it is. Default: temperature in the model's config.json, "
            "else 1."
        ),
    ] = None
    long_text: Annotated[
        str | None,
        Option(
            "What becomes of a text with more than --max_length tokens. truncate: its beginning "
            "is classified. average, max: windows of --window_tokens are, at most --max_windows, "
            "and the average of their scores counts, or the maximum for each label; a text then "
            "costs as much as its windows. Default: long_text in the model's config.json unless "
            "--max_length is given, else truncate.",
            choices=LONG_TEXT,
            panel="Model",
        ),
    ] = None
    window_tokens: Annotated[
        int | None,
        Option(
            "The tokens of a window of a text that has more than --max_length, 1 to --max_length; "
            "goes with --long_text average or max. Default: window_tokens in the model's config.json "
            "unless --max_length or --long_text is given, else --max_length.",
            panel="Model",
        ),
    ] = None
    max_windows: Annotated[
        int | None,
        Option(
            "The most windows of a text, 1 to 64, spread evenly over as much of it as 64 would cover: "
            "as many as overlap by a quarter, or fewer, and what lies between them is not read; goes "
            "with --long_text average or max. Default: max_windows in the model's config.json unless "
            "--max_length, --long_text or --window_tokens is given, else 64.",
            panel="Model",
        ),
    ] = None

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
        if self.long_text is not None:
            check_long_text(self.long_text)
        if self.window_tokens is not None:
            check_tokens("window_tokens", self.window_tokens)
        if self.max_windows is not None:
            check_max_windows(self.max_windows)

    def of(self, bundle: Bundle, max_length: int | None = None) -> ScoreSettings:
        """These settings, with the bundle's where they leave it the choice.

        Args:
            bundle: The bundle.
            max_length: The most tokens of a row, where that is given, too: see `Reading.of`.

        Raises:
            ValueError: They do not go together, or not with the bundle.
        """
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
        reading = Reading.of(
            bundle, max_length, self.long_text, self.window_tokens, self.max_windows
        )
        return dataclasses.replace(
            self,
            activation=activation,
            multi_label=multi_label,
            temperature=temperature,
            long_text=reading.long_text,
            # Of one row there is nothing to say, and it is refused.
            window_tokens=None if reading.long_text == "truncate" else reading.window_tokens,
            max_windows=reading.max_windows,
        )

    def of_stages(self, bundle: Bundle, max_length: int | None = None) -> list[ScoreSettings]:
        """These settings for each model that a bundle asks: the temperature is that of its bundle.

        Args:
            bundle: The bundle.
            max_length: As for `of`.

        Raises:
            ValueError: As of `of`.
        """
        whole = self.of(bundle, max_length)
        if self.temperature is not None:
            return [whole for _ in bundle.stages]
        return [
            dataclasses.replace(whole, temperature=stage.bundle.temperature)
            for stage in bundle.stages
        ]


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
    windows: Sequence[np.ndarray], settings: ScoreSettings = DEFAULT_SETTINGS
) -> tuple[int, list[float]]:
    """Turns the logits of a text's windows into the scores of the text.

    Args:
        windows: The logits of each window; at least one.
        settings: How; with `long_text` `max` the maximum for each label, else the average.

    Returns:
        The index of the category (the highest score; the first of equals), and the scores.
    """
    scored = [score(logits, settings) for logits in windows]
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
