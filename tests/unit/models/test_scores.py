"""Scores: softmax and sigmoid, the category, the threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.scores import ScoreSettings, labels_above, score

LABELS = ("a", "b", "c")
finite = st.floats(-1e6, 1e6, width=32)


@given(st.lists(finite, min_size=1, max_size=9))
def test_softmax(logits: list[float]) -> None:
    category, scores = score(np.array(logits, np.float32))
    assert category == int(np.argmax(np.array(logits, np.float32)))
    assert sum(scores) == pytest.approx(1)
    assert scores[category] == max(scores)


@given(st.lists(finite, min_size=1, max_size=9))
def test_sigmoid(logits: list[float]) -> None:
    category, scores = score(logits, ScoreSettings(activation="sigmoid"))
    assert all(0 <= s <= 1 for s in scores)
    assert scores[category] == max(scores)
    for logit, value in zip(logits, scores, strict=True):
        if abs(logit) < 30:
            assert value == pytest.approx(1 / (1 + math.exp(-logit)))


def test_values() -> None:
    assert score([0.0, 0.0]) == (0, [0.5, 0.5])
    category, scores = score(np.array([0, math.log(3)]))
    assert category == 1
    assert scores == pytest.approx([0.25, 0.75])


def test_temperature_softens_and_keeps_the_category() -> None:
    logits = [1.0, 3.0, 2.0]
    plain = score(logits)
    soft = score(logits, ScoreSettings(temperature=2))
    assert soft == (plain[0], pytest.approx(score([0.5, 1.5, 1.0])[1]))
    assert soft[1][1] < plain[1][1]


def test_labels_above() -> None:
    several = ScoreSettings(activation="sigmoid", threshold=0.5, multi_label=True)
    assert labels_above(1, [0.5, 0.9, 0.4], LABELS, several) == ("b", "a")
    assert labels_above(1, [0.1, 0.2, 0.1], LABELS, several) == ()
    one = ScoreSettings(activation="sigmoid", threshold=0.5)
    assert labels_above(1, [0.5, 0.9, 0.4], LABELS, one) == ("b",)
    assert labels_above(1, [0.1, 0.2, 0.1], LABELS, one) == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"activation": "relu"}, "activation 'relu': choose one of softmax, sigmoid"),
        ({"threshold": 1.1}, "threshold 1.1: choose a score from 0 to 1"),
        ({"threshold": -0.1}, "choose a score from 0 to 1"),
        ({"threshold": math.nan}, "choose a score from 0 to 1"),
        ({"temperature": 0}, "choose a number above 0"),
        ({"temperature": math.inf}, "choose a number above 0"),
    ],
)
def test_wrong_settings_name_the_choices(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ScoreSettings(**settings)  # type: ignore[arg-type]
