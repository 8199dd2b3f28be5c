"""Rows of one label, joined to texts of any length."""

from __future__ import annotations

import numpy as np
import pytest

from training.data import Tokens
from training.joined import END, START, Joiner, Lengths

LABELS = 4
ROWS = 40


@pytest.fixture
def joiner() -> Joiner:
    """Rows of whose words each tells its label: tokens of label n are 100 * n and more."""
    rows, labels = [], []
    for number in range(ROWS):
        label = number % LABELS
        words = 100 * (label + 1) + np.arange(5 + number % 7)
        rows.append(np.concatenate([[START], words, [END]]))
        labels.append(label)
    starts = np.cumsum([0, *map(len, rows)])
    tokens = Tokens(np.concatenate(rows), starts, np.array(labels))
    return Joiner(tokens, tokens, Lengths(32, 256))


def test_every_length_has_every_label_as_often(joiner: Joiner) -> None:
    rng = np.random.default_rng(0)
    lengths: dict[int, list[int]] = {label: [] for label in range(LABELS)}
    for _ in range(300):
        texts, labels = joiner.batch(32, rng)
        counts = np.bincount(labels, minlength=LABELS)
        assert counts.max() - counts.min() <= 1
        for text, label in zip(texts, labels, strict=True):
            lengths[int(label)].append(len(text))
    means = [np.mean(found) for found in lengths.values()]
    assert max(means) - min(means) < 0.05 * np.mean(means)
    shortest, longest = (f([f(found) for found in lengths.values()]) for f in (min, max))
    assert shortest < 32 < 200 < longest <= 256


def test_a_text_is_of_its_label_and_begins_and_ends_as_one(joiner: Joiner) -> None:
    texts, labels = joiner.batch(32, np.random.default_rng(1))
    for text, label in zip(texts, labels, strict=True):
        assert (text[0], text[-1]) == (START, END)
        assert set(text[1:-1] // 100) == {label + 1}


def test_long_texts_make_small_batches(joiner: Joiner) -> None:
    rng = np.random.default_rng(2)
    sizes = [joiner.batch(32, rng)[0] for _ in range(100)]
    assert all(max(map(len, texts)) * len(texts) <= 32 * 130 for texts in sizes)
    assert min(map(len, sizes)) >= 8


def test_the_same_draws_make_the_same_batch(joiner: Joiner) -> None:
    one, other = (joiner.batch(8, np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one[0], other[0], strict=True))
    assert np.array_equal(one[1], other[1])
