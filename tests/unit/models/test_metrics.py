"""The figures, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.metrics import (
    calibration,
    confusion_matrix,
    expected_calibration_error,
    label_figures,
    log_softmax,
    macro,
    wilson_interval,
)

TARGETS = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 2])


def test_confusion() -> None:
    confusion = confusion_matrix(TARGETS, PREDICTED, 4)
    assert confusion.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_figures_of_labels() -> None:
    confusion = confusion_matrix(TARGETS, PREDICTED, 4)
    a, b, c, d = label_figures(confusion, ("a", "b", "c", "d"))
    assert (a.precision, a.recall, a.f1, a.support) == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3))
    assert (b.precision, b.recall, b.f1, b.support) == pytest.approx((0.5, 0.5, 0.5, 2))
    assert (c.precision, c.recall, c.f1, c.support) == (1, 1, 1, 1)
    assert (d.label, d.precision, d.recall, d.f1, d.support) == ("d", 0, 0, 0, 0)


def test_macro_is_over_the_labels_that_occur() -> None:
    confusion = confusion_matrix(TARGETS, PREDICTED, 4)
    figures = label_figures(confusion, ("a", "b", "c", "d"))
    expected = (2 / 3 + 0.5 + 1) / 3
    assert macro(confusion, figures) == pytest.approx((expected, expected, expected))
    # A label that was given and never right counts, with 0.
    confusion = confusion_matrix(np.array([0, 0]), np.array([0, 1]), 3)
    precision, recall, f1 = macro(confusion, label_figures(confusion, ("a", "b", "c")))
    assert (precision, recall, f1) == pytest.approx((0.5, 0.25, 1 / 3))


def test_log_softmax() -> None:
    scores = np.exp(log_softmax(np.array([[0, math.log(3)], [1e4, 0]], np.float32)))
    assert scores == pytest.approx(np.array([[0.25, 0.75], [1, 0]]))


def test_wilson() -> None:
    # Known values: 81 of 263 gives 0.2553 to 0.3662 (Newcombe 1998, method 3).
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson_interval(20, 20)[1] == 1


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share(counts: tuple[int, int]) -> None:
    low, high = wilson_interval(*counts)
    assert 0 <= low <= counts[0] / counts[1] + 1e-12
    assert counts[0] / counts[1] - 1e-12 <= high <= 1


def test_calibration() -> None:
    confidence = np.array([0.0, 0.55, 0.6, 0.95, 1.0])
    right = np.array([False, True, False, True, True])
    bins = calibration(confidence, right, bins=10)
    assert [b.count for b in bins] == [1, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    assert (bins[5].low, bins[5].high) == (0.5, 0.6)
    assert bins[5].confidence == pytest.approx(0.575)
    assert bins[5].accuracy == 0.5
    expected = (1 * 0 + 2 * 0.075 + 2 * 0.025) / 5
    assert expected_calibration_error(bins) == pytest.approx(expected)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_every_text_is_in_one_bin(rows: list[tuple[float, bool]]) -> None:
    bins = calibration(np.array([c for c, _ in rows]), np.array([r for _, r in rows]))
    assert sum(b.count for b in bins) == len(rows)
    for b in bins:
        if b.count:
            assert b.low - 1e-9 <= b.confidence <= b.high + 1e-9
    assert 0 <= expected_calibration_error(bins) <= 1
