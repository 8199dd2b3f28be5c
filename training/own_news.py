"""News with labels of the user's own: checked, and split into what trains, calibrates, reports.

No torch here: what is wrong with a file is said before that is loaded.
"""

from __future__ import annotations

import math
import random
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import BundleError
from models.labelled_news import NamedNews
from training import data

#: Rows that a category needs: two are held out, and from fewer than the rest nobody would learn.
LEAST_ROWS = 8
#: Rows of a category that must be left to train on.
LEAST_TRAINED = 4
MOST_LABELS = 1000
#: Characters that a label may have: more are a text, in the wrong column.
MOST_CHARACTERS = 200
#: The most rows that are held out: more say little more.
MOST_HELD_OUT = 4000
#: Shingles that more held-out rows than these share are a form, or what a site puts everywhere.
_BOILERPLATE = 20
_BOILERPLATE_SHARE = 0.02
#: Categories whose sizes differ by no more need no weights.
_EVEN = 1.5
_HIGHEST_WEIGHT = 4.0


@dataclass(frozen=True)
class Facts:
    """What a file holds, and what became of its rows.

    Attributes:
        labels: The categories, in the order of the logits.
        rows: The rows of the file.
        repeated: Rows left out, since they are the same as another one.
        contradicted: Texts that are there with several labels; they train all the same.
        near: Rows left out of training, since they nearly repeat a row that is held out.
        trained: Rows that train.
        calibrating: Rows that are held out and fit what scores mean.
        reporting: Rows that are held out and only report.
        fewest: The rows of the smallest category in the file, repeated ones not counted.
        most: Those of the largest.
    """

    labels: tuple[str, ...]
    rows: int
    repeated: int
    contradicted: int
    near: int
    trained: int
    calibrating: int
    reporting: int
    fewest: int
    most: int


@dataclass(frozen=True)
class Parts:
    """The rows of a file: those that train, those that calibrate, those that report."""

    train: data.Articles
    calibrating: data.Articles
    reporting: data.Articles
    facts: Facts


def divide(news: NamedNews, known: Sequence[str], held_out: float, seed: int) -> Parts:
    """Checks news and splits it.

    The same share of each category is held out at random, half of it to calibrate and half to
    report; rows that nearly repeat one of these don't train.

    Args:
        news: The news.
        known: The labels that the model has that is trained on: where these are the same, they
            keep their order.
        held_out: The share of the rows that is held out.
        seed: What draws them.

    Raises:
        BundleError: There are too few rows, too few or many categories, or one that is no name.
    """
    _check_names(news)
    labels = _order(set(news.labels), known)
    if len(labels) < 2:
        raise BundleError(f"every row has the label {labels[0]!r}; give rows of two labels or more")
    if len(labels) > MOST_LABELS:
        raise BundleError(
            f"{len(labels):,} labels: newsbeam trains at most {MOST_LABELS:,}; is the first column, "
            "or the one called label, really the label?"
        )
    number = {label: i for i, label in enumerate(labels)}
    pairs = [(text, number[label]) for text, label in zip(news.texts, news.labels, strict=True)]
    kept = list(dict.fromkeys(pairs))
    counts = Counter(label for _, label in kept)
    _check_counts(labels, counts)
    several = Counter(text for text, _ in kept)
    articles = data.Articles([text for text, _ in kept], [label for _, label in kept])
    reporting, calibrating, rest = _hold_out(articles.labels, held_out, seed)
    held = articles.take([*reporting, *calibrating])
    boilerplate = max(_BOILERPLATE, math.ceil(_BOILERPLATE_SHARE * len(held)))
    near = data.near_duplicates([articles.texts[i] for i in rest], held.texts, boilerplate)
    train = articles.take(row for place, row in enumerate(rest) if place not in near)
    _check_trained(labels, train, counts)
    facts = Facts(
        labels=labels,
        rows=len(news),
        repeated=len(pairs) - len(kept),
        contradicted=sum(count > 1 for count in several.values()),
        near=len(near),
        trained=len(train),
        calibrating=len(calibrating),
        reporting=len(reporting),
        fewest=min(counts.values()),
        most=max(counts.values()),
    )
    return Parts(train, articles.take(calibrating), articles.take(reporting), facts)


def label_weights(labels: Sequence[int]) -> np.ndarray | None:
    """What the rows of each label count for in training; None where all count as much.

    The square root of how rare a label is, bounded: rare ones are learned, too, and frequent ones
    stay the likelier guess. Rows count for 1 on average.
    """
    counts = np.bincount(labels)
    if counts.max() <= _EVEN * counts.min():
        return None
    weights = np.sqrt(counts.mean() / counts).clip(1 / _HIGHEST_WEIGHT, _HIGHEST_WEIGHT)
    return np.asarray(weights * counts.sum() / (weights * counts).sum())


def _order(labels: set[str], known: Sequence[str]) -> tuple[str, ...]:
    if labels == set(known):
        return tuple(known)
    if all(label.isdecimal() for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def _alike(label: str) -> str:
    return "".join(filter(str.isalnum, label.casefold()))


def _check_names(news: NamedNews) -> None:
    """Refuses labels that are texts, or hold what would break the lines in which they are shown."""
    for label, line in zip(news.labels, news.lines, strict=True):
        if len(label) > MOST_CHARACTERS:
            raise BundleError(
                f"line {line}: the label {label[:40] + '…'!r} has {len(label):,} characters, and may "
                f"have {MOST_CHARACTERS}; is the first column, or the one called label, really the "
                "label?"
            )
        if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in label):
            raise BundleError(
                f"line {line}: the label {label!r} has a line break or another control character; "
                "close every quote, and write labels without"
            )


def _check_counts(labels: tuple[str, ...], counts: Counter[int]) -> None:
    few = [i for i in range(len(labels)) if counts[i] < LEAST_ROWS]
    if not few:
        return
    first = labels[few[0]]
    others = f" (and {len(few) - 1:,} more of them have too few)" if len(few) > 1 else ""
    like = [label for label in labels if label != first and _alike(label) == _alike(first)]
    fix = f"write it {like[0]!r}, if that is what it is" if like else "leave it out"
    count = counts[few[0]]
    raise BundleError(
        f"label {first!r} has {count} different row{'s' * (count != 1)}{others}; give each label "
        f"{LEAST_ROWS} or more, or {fix}"
    )


def _check_trained(labels: tuple[str, ...], train: data.Articles, counts: Counter[int]) -> None:
    left = Counter(train.labels)
    for i, label in enumerate(labels):
        if left[i] < LEAST_TRAINED:
            raise BundleError(
                f"label {label!r}: its {counts[i]:,} rows nearly repeat each other, and {left[i]} "
                f"are left to train on; give it {LEAST_ROWS} or more that differ, or leave it out"
            )


def _hold_out(
    labels: Sequence[int], share: float, seed: int
) -> tuple[list[int], list[int], list[int]]:
    """Rows that report, that calibrate, and the rest."""
    rows = list(range(len(labels)))
    random.Random(seed).shuffle(rows)
    by_label: dict[int, list[int]] = {}
    for row in rows:
        by_label.setdefault(labels[row], []).append(row)
    share = min(share, MOST_HELD_OUT / len(labels))
    reporting, calibrating, rest = [], [], []
    for label in sorted(by_label):
        own = by_label[label]
        count = max(2, round(share * len(own)))
        # Of an odd number the larger half goes now here, now there.
        half = (count + label % 2) // 2
        reporting += own[:half]
        calibrating += own[half:count]
        rest += own[count:]
    return reporting, calibrating, sorted(rest)
