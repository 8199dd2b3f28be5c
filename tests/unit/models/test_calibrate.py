"""Calibration: the temperature that labels were drawn with is found again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.calibrate import HIGHEST, LOWEST, at_a_bound, fit_temperature, negative_log_likelihood
from models.metrics import calibration, expected_calibration_error, log_softmax


def drawn(temperature: float, texts: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels that come as often as the scores at a temperature say."""
    random = np.random.default_rng(11)
    logits = random.normal(0, 3, (texts, 4)).astype(np.float32)
    noise = random.gumbel(size=logits.shape)
    return logits, (logits / temperature + noise).argmax(axis=1)


def error(logits: np.ndarray, targets: np.ndarray, temperature: float) -> float:
    scores = np.exp(log_softmax(logits, temperature))
    right = scores.argmax(axis=1) == targets
    return expected_calibration_error(calibration(scores.max(axis=1), right))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7, 5.0])
def test_the_temperature_is_found(temperature: float) -> None:
    logits, targets = drawn(temperature)
    found = fit_temperature(logits, targets)
    assert found == pytest.approx(temperature, rel=0.05)
    least = negative_log_likelihood(logits, targets, found)
    for other in (found * 0.99, found * 1.01, temperature):
        assert least <= negative_log_likelihood(logits, targets, other)
    assert error(logits, targets, found) < 0.01


def test_calibrating_makes_scores_honest() -> None:
    logits, targets = drawn(2.5)
    assert error(logits, targets, 1) > 0.1
    assert error(logits, targets, fit_temperature(logits, targets)) < 0.01


def test_scaled_logits_scale_the_temperature() -> None:
    logits, targets = drawn(1.3)
    found = fit_temperature(logits, targets)
    assert fit_temperature(logits * 4, targets) == pytest.approx(found * 4, rel=1e-4)


def test_where_no_finite_temperature_is_best() -> None:
    logits = np.array([[5.0, 0.0], [0.0, 3.0]])
    assert fit_temperature(logits, np.array([0, 1])) == pytest.approx(LOWEST, rel=1e-3)
    assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(HIGHEST, rel=1e-3)
    # Whoever shows it can tell.
    for targets in ([0, 1], [1, 0]):
        assert at_a_bound(fit_temperature(logits, np.array(targets)))
    assert not any(map(at_a_bound, (0.06, 1.0, 19.0)))


def joined(
    logits: np.ndarray, counts: np.ndarray, long_text: str, temperature: float
) -> np.ndarray:
    """The scores of texts, from those of their windows, one by one."""
    parts = np.split(np.exp(log_softmax(logits, temperature)), np.cumsum(counts)[:-1])
    if long_text == "average":
        return np.stack([part.mean(axis=0) for part in parts])
    highest = np.stack([part.max(axis=0) for part in parts])
    return np.asarray(highest / highest.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("long_text", ["average", "max"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_windows_is_found(long_text: str, temperature: float) -> None:
    random = np.random.default_rng(5)
    counts = random.integers(1, 4, 8000)
    logits = random.normal(0, 3, (counts.sum(), 4))
    scores = joined(logits, counts, long_text, temperature)
    targets = (np.log(scores) + random.gumbel(size=scores.shape)).argmax(axis=1)
    found = fit_temperature(logits, targets, counts, long_text)
    assert found == pytest.approx(temperature, rel=0.06)
    loss = negative_log_likelihood(logits, targets, found, counts, long_text)
    there = joined(logits, counts, long_text, found)[np.arange(len(targets)), targets]
    assert loss == pytest.approx(-np.log(there).mean())
    for other in np.geomspace(LOWEST, HIGHEST, 97):
        assert loss <= negative_log_likelihood(logits, targets, other, counts, long_text)


def test_the_lowest_of_several_minima_is_found() -> None:
    """Where the loss falls towards both ends, a search from the middle may take the wrong one."""
    logits = np.array([[6.0, 0.0], [-3.0, 1.0], [3.0, -5.0], [-3.0, -3.0]])
    counts, targets = np.array([2, 2]), np.array([1, 1])
    low, middle, high = (
        negative_log_likelihood(logits, targets, t, counts) for t in (LOWEST, 0.3, HIGHEST)
    )
    assert middle > low > high + 0.2
    assert fit_temperature(logits, targets, counts) == pytest.approx(HIGHEST, rel=1e-3)


def test_one_window_each_is_as_without() -> None:
    logits, targets = drawn(1.7, 500)
    ones = np.ones(500, int)
    for long_text in ("average", "max"):
        assert fit_temperature(logits, targets, ones, long_text) == fit_temperature(logits, targets)


@pytest.mark.parametrize("counts", [[1, 1], [2, 2], [3, 0]])
def test_windows_that_are_not_there(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="logits of 3 windows, and texts that have"):
        fit_temperature(np.zeros((3, 2)), np.zeros(2, int), np.array(counts))


def test_the_loss_is_cross_entropy() -> None:
    logits = np.array([[0.0, 2 * math.log(3)]])
    assert negative_log_likelihood(logits, np.array([1]), 2) == pytest.approx(math.log(4 / 3))


@pytest.mark.parametrize(
    ("logits", "targets", "words"),
    [
        (np.empty((0, 2)), np.empty(0, int), "logits of shape"),
        (np.zeros((3, 2)), np.zeros(2, int), "one target for each text"),
        (np.zeros(3), np.zeros(3, int), "give texts x labels"),
        (np.zeros((2, 2)), np.array([0, 2]), "targets from 0 to 2: there are 2 labels"),
        (np.zeros((2, 2)), np.array([-1, 1]), "targets from -1 to 1"),
    ],
)
def test_what_cannot_be_fitted(logits: np.ndarray, targets: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit_temperature(logits, targets)
