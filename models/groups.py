"""Accuracy by group: by the length of texts, or by what a column says of them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.metrics import wilson_interval

#: The most tokens of the texts of a group; longer ones are the last.
LENGTHS = (16, 32, 64, 128, 256, 512)
#: From how many standard deviations on a trend is no chance: one in a hundred, of several looks.
_SURE = 3.0


@dataclass(frozen=True)
class GroupFigures:
    """The figures of some of the texts.

    Attributes:
        name: Which ones.
        samples: How many.
        accuracy: The share that was right, 0 to 1.
        accuracy_interval: Its 95% confidence interval (Wilson).
    """

    name: str
    samples: int
    accuracy: float
    accuracy_interval: tuple[float, float]


@dataclass(frozen=True)
class LengthFigures:
    """Accuracy by length.

    Attributes:
        groups: The shortest first; none is empty.
        falls: Whether longer texts are right less often, by more than chance: from some length on
            (Cochran-Armitage test for a trend).
    """

    groups: tuple[GroupFigures, ...]
    falls: bool


def by_length(lengths: Sequence[int], limit: int, right: np.ndarray) -> LengthFigures:
    """Accuracy by how many tokens texts have.

    Args:
        lengths: For each text how many tokens it has, special ones included; any number above
            `limit` where it has more.
        limit: How many tokens of a text were looked for.
        right: For each text whether its category was right.
    """
    limits = [length for length in LENGTHS if length < limit] + [limit]
    places = np.searchsorted(limits, lengths)
    names = [f"{low + 1} to {high}" for low, high in itertools.pairwise([0, *limits])]
    names.append(f"over {limits[-1]}")
    there = sorted(set(places.tolist()))
    groups = tuple(_figures(names[place], right[places == place]) for place in there)
    return LengthFigures(groups, _falls(groups))


def by_value(values: Sequence[str], right: np.ndarray) -> tuple[GroupFigures, ...]:
    """Accuracy by a value of texts, the most frequent first."""
    column = np.array(values)
    counts = sorted(Counter(values).items(), key=lambda entry: (-entry[1], entry[0]))
    return tuple(_figures(value, right[column == value]) for value, _ in counts)


def _figures(name: str, right: np.ndarray) -> GroupFigures:
    hits, samples = int(right.sum()), len(right)
    return GroupFigures(name, samples, hits / samples, wilson_interval(hits, samples))


def _falls(groups: Sequence[GroupFigures]) -> bool:
    # The shortest may be the hardest: a fall may begin anywhere.
    return any(_trend(groups[first:]) < -_SURE for first in range(len(groups) - 1))


def _trend(groups: Sequence[GroupFigures]) -> float:
    """How steadily accuracy grows from group to group, in standard deviations of chance."""
    counts = np.array([group.samples for group in groups], np.float64)
    hits = counts * np.array([group.accuracy for group in groups])
    total, share = counts.sum(), hits.sum() / counts.sum()
    place = np.arange(len(groups))
    spread = (counts * place**2).sum() - (counts * place).sum() ** 2 / total
    trend = float((place * (hits - counts * share)).sum())
    variance = share * (1 - share) * spread
    return trend / math.sqrt(variance) if variance > 0 else 0.0
