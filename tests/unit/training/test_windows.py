"""Texts that are longer than a row are shown in windows; many labels share few joined rows."""

from __future__ import annotations

import numpy as np

from training import calibrate, data, joined, windows


def test_windows_of_long_rows():
    long = np.concatenate([[0], np.arange(100, 400), [2]])
    short = np.array([0, 5, 6, 2])
    rng = np.random.default_rng(0)
    firsts = set()
    for _ in range(200):
        first, second = windows.cut([long, short], (20, 40), rng)
        assert second is short
        assert 19 <= len(first) <= 40
        assert (first[0], first[-1]) == (0, 2)
        assert np.array_equal(first[1:-1], np.arange(first[1], first[1] + len(first) - 2))
        assert set(first[1:-1]) <= set(range(100, 400))
        firsts.add(int(first[1]))
    # Half begin where the text does, the others anywhere: the last words are seen, too.
    assert 100 in firsts
    assert len(firsts) > 50
    assert max(firsts) > 340


def test_a_window_as_long_as_the_text():
    row = np.array([0, *range(10, 20), 2])
    [found] = windows.cut([row], (12, 12), np.random.default_rng(0))
    assert found is row


def test_joined_rows_of_more_labels_than_a_batch_has():
    labels = np.arange(100)
    ids = np.tile([0, 7, 8, 2], 100).astype(np.int32)
    tokens = data.Tokens(ids, np.arange(0, 401, 4), labels)
    joiner = joined.Joiner(tokens, tokens, joined.Lengths(16, 32))
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        texts, found = joiner.batch(16, rng)
        assert len(texts) == len(found) == len(set(found)) == 16
        seen |= set(found)
    assert seen == set(labels)


def test_rows_are_cut_with_their_end():
    tokens = data.Tokens(
        np.array([0, 7, 8, 9, 2, 0, 7, 2], np.int32), np.array([0, 5, 8]), np.array([0, 1])
    )
    found = tokens.cut(4)
    assert [found.row(i).tolist() for i in range(2)] == [[0, 7, 8, 2], [0, 7, 2]]
    assert tokens.cut(5) is tokens


def test_few_rows_that_are_all_right_leave_doubt():
    logits = np.array([[6.0, 0, 0], [0, 6, 0], [0, 0, 6], [6, 0, 0]])
    targets = np.array([0, 1, 2, 0])
    power, few = calibrate.fit_few(logits, targets)
    assert power == 0
    scores = np.exp(logits[0] / few) / np.exp(logits[0] / few).sum()
    assert 0.8 < scores[0] < 0.95
    # More rows that are right leave less.
    _, many = calibrate.fit_few(np.tile(logits, (50, 1)), np.tile(targets, 50))
    assert many < few


def test_windows_of_a_text_are_calibrated_together():
    """Each text's second window says nothing: joined, its scores are as sure as both are."""
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 300)
    logits = np.zeros((600, 3))
    logits[np.arange(300) * 2, targets] = 3
    counts = np.full(300, 2)
    for fit in (calibrate.fit, calibrate.fit_few):
        together = fit(logits, targets, counts, "average")
        alone = fit(logits[::2], targets)
        assert np.isfinite(together).all()
        assert together != alone
