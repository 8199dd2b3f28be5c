"""Accuracy, recall and calibration by how long texts are: what a bundle's card shows of long ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from models.classifier import Prediction, TextClassifier
from models.groups import LENGTHS
from models.labelled_news import LabelledNews
from models.metrics import calibration, expected_calibration_error
from training.plain import plain

_JOINED_OF_LENGTH = 200


@dataclass(frozen=True)
class Figures:
    """What a classifier makes of texts of about one length.

    Attributes:
        texts: Which texts they are.
        longest: The most tokens of them, special ones included; None where they have more than 512.
        samples: How many there are.
        accuracy: The share that was right, 0 to 1.
        recall: Of the texts of the first label, World in AG News, the share that was right; None
            where there are none.
        calibration_error: The expected calibration error, in 15 bins.
    """

    texts: str
    longest: int | None
    samples: int
    accuracy: float
    recall: float | None
    calibration_error: float


def by_length(classifier: TextClassifier, news: Mapping[str, LabelledNews]) -> list[dict[str, Any]]:
    """The figures of each source of texts as a whole and by length, as plain values.

    Args:
        classifier: Reads texts as its bundle says.
        news: Texts and labels, by the name of their source.

    Returns:
        `Figures`: of each source those of all its texts first, whose `longest` is 0.
    """
    found: list[Figures] = []
    for source, part in news.items():
        counts = _tokens(classifier.bundle.tokenizer(), part.texts)
        scores = np.array([_scores(outcome) for outcome in classifier.outcomes(part.texts)])
        targets = np.array(part.targets)
        found.append(_figures(source, 0, scores, targets))
        places = np.searchsorted(LENGTHS, counts)
        for place in np.unique(places):
            longest = LENGTHS[place] if place < len(LENGTHS) else None
            here = places == place
            found.append(_figures(source, longest, scores[here], targets[here]))
    return [asdict(figures) for figures in found]


def joined(news: LabelledNews, tokenizer: Tokenizer, seed: int = 0) -> LabelledNews:
    """Texts of one label joined, and cut to each of `LENGTHS` tokens: as many of each label.

    Args:
        news: What is joined; each text without the marks of its source.
        tokenizer: Counts the tokens.
        seed: Which texts.
    """
    rng = np.random.default_rng(seed)
    targets = np.array(news.targets)
    of_label = [np.flatnonzero(targets == label) for label in np.unique(targets)]
    texts, labels = [], []
    for longest in LENGTHS:
        for number in range(_JOINED_OF_LENGTH):
            pool = of_label[number % len(of_label)]
            # Each token is at least a character: so many rows are enough for any.
            rows = rng.choice(pool, min(len(pool), 1 + longest // 8), replace=False)
            text = " ".join(plain(news.texts[row]) for row in rows)
            ends = tokenizer.encode(text, add_special_tokens=False).offsets
            texts.append(text[: ends[min(len(ends), longest - 2) - 1][1]])
            labels.append(int(targets[pool[0]]))
    return LabelledNews(tuple(texts), tuple(labels))


def _tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> list[int]:
    return [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(texts))]


def _scores(outcome: Prediction | Exception) -> list[float]:
    if isinstance(outcome, Exception):
        raise outcome
    return list(outcome.scores.values())


def _figures(texts: str, longest: int | None, scores: np.ndarray, targets: np.ndarray) -> Figures:
    right = scores.argmax(1) == targets
    first = right[targets == 0]
    bins = calibration(scores.max(1), right)
    return Figures(
        texts,
        longest,
        len(targets),
        float(right.mean()),
        float(first.mean()) if len(first) else None,
        expected_calibration_error(bins),
    )
