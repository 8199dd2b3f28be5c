"""Long texts out of short ones: rows of one label joined, cut at a length that says nothing of it.

In AG News long rows are of Sci/Tech and hardly one is of World: what learns from them alone learns
that, and calls long articles Sci/Tech. Here every label has every length as often.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.data import Tokens

START, END = 0, 2
#: Texts that begin in the middle of a row: windows of an article have no headline.
_HEADLESS = 0.3
#: Tokens of a batch, padding included, in rows of the usual 128.
_ROW_TOKENS = 128
_LEAST_ROWS = 8


@dataclass(frozen=True)
class Lengths:
    """How long joined texts are, in tokens: log-uniform between these."""

    shortest: int
    longest: int


class Joiner:
    """Joins rows.

    Args:
        first: Rows as they begin a text.
        following: The same rows as they follow another: with a space before the first word.
        lengths: How long the texts are.
    """

    def __init__(self, first: Tokens, following: Tokens, lengths: Lengths) -> None:
        self._first, self._following, self._lengths = first, following, lengths
        self._of_label = [np.flatnonzero(first.labels == n) for n in np.unique(first.labels)]

    def batch(self, rows: int, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
        """Texts of about one length, as many of each label: token ids of each, and labels.

        Args:
            rows: How many; fewer where they are long.
            rng: What draws them.
        """
        low, high = np.log([self._lengths.shortest, self._lengths.longest])
        top = int(np.exp(rng.uniform(low, high)))
        count = int(np.clip(rows * _ROW_TOKENS // top, min(rows, _LEAST_ROWS), rows))
        labels = len(self._of_label)
        if count < labels:
            places = rng.choice(labels, count, replace=False)
        else:
            places = rng.permutation(np.arange(count) % labels)
        texts = [
            self._text(place, int(rng.integers(top * 2 // 3, top + 1)), rng) for place in places
        ]
        return texts, np.array([self._first.labels[self._of_label[p][0]] for p in places])

    def _text(self, place: int, length: int, rng: np.random.Generator) -> np.ndarray:
        """A text of `length` tokens, special ones included."""
        pool = self._of_label[place]
        piece = self._first.row(int(rng.choice(pool)))[1:-1]
        if rng.random() < _HEADLESS:
            piece = piece[int(rng.integers(0, len(piece))) :]
        pieces, count = [piece], len(piece)
        while count < length - 2:
            piece = self._following.row(int(rng.choice(pool)))[1:-1]
            pieces.append(piece)
            count += len(piece)
        body = np.concatenate(pieces)[: length - 2]
        return np.concatenate([[START], body, [END]])
