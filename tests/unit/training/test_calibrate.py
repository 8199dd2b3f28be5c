"""The power and the temperature are those that the scores were made with."""

from __future__ import annotations

import numpy as np
import pytest

from training import calibrate


def _softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_they_are_found_again() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(20_000, 4))
    true = _softmax(calibrate.sharpen(logits, 0.25) / 1.5)
    targets = (true.cumsum(1) > rng.random((len(true), 1))).argmax(1)
    power, temperature = calibrate.fit(logits, targets)
    assert power == pytest.approx(0.25, abs=0.05)
    assert temperature == pytest.approx(1.5, rel=0.1)


def test_no_label_changes_its_place() -> None:
    logits = np.random.default_rng(1).normal(size=(100, 4))
    logits[0, :2] = 3.0  # undecided
    found = calibrate.sharpen(logits, 0.3)
    assert np.isfinite(found).all()
    assert np.array_equal(found.argsort(1, kind="stable"), logits.argsort(1, kind="stable"))
