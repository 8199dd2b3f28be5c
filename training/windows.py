"""Windows of texts that are longer than a row: what a model that reads in windows is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.joined import END, START

#: How many begin where the text does, which says most: in news, the headline.
_FIRST = 0.5


def cut(
    rows: Sequence[np.ndarray], lengths: tuple[int, ...], rng: np.random.Generator
) -> list[np.ndarray]:
    """Rows of token ids, those cut to a window that are longer than it.

    Args:
        rows: Token ids, special ones included.
        lengths: The shortest and the longest window; one length is drawn for all rows.
        rng: What draws it, and where windows begin.
    """
    low, high = np.log(lengths)
    size = int(np.exp(rng.uniform(low, high)))
    return [_window(row, size, rng) for row in rows]


def _window(row: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    if len(row) <= size:
        return row
    first = 1
    if rng.random() >= _FIRST:
        first = int(rng.integers(1, len(row) - size + 2))
    return np.concatenate([[START], row[first : first + size - 2], [END]])
