"""Scores: softmax and sigmoid, the category, the threshold."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundle import Bundle
from models.scores import ScoreSettings, labels_above, score, score_windows

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


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e300])
def test_any_temperature_gives_scores(activation: str, temperature: float) -> None:
    category, scores = score([1.0, 3.0, -2.0], ScoreSettings(activation, temperature=temperature))
    assert category == 1
    assert scores[1] == max(scores)
    assert all(0 <= s <= 1 for s in scores)


def test_windows_are_joined() -> None:
    windows = [np.array([0, math.log(3)]), np.array([math.log(4), 0]), np.array([0.0, 0.0])]
    each = [score(w)[1] for w in windows]
    top, scores = score_windows(windows, ScoreSettings(long_text="average"))
    assert (top, scores) == (0, pytest.approx(np.mean(each, axis=0).tolist()))
    top, scores = score_windows(windows, ScoreSettings(long_text="max"))
    assert (top, scores) == (0, pytest.approx([0.8, 0.75]))
    assert score_windows(windows[:1]) == score(windows[0])
    warm = ScoreSettings(long_text="max", temperature=2)
    assert score_windows(windows, warm)[1] == pytest.approx(
        [score(windows[1], warm)[1][0], score(windows[0], warm)[1][1]]
    )


def test_what_is_left_to_the_bundle(default_bundle: Bundle) -> None:
    row = ("average", 48, 3)
    reads = dataclasses.replace(
        default_bundle, long_text=row[0], window_tokens=row[1], max_windows=row[2]
    )
    plain = dataclasses.replace(reads, temperature=1.5, multi_label=False)
    several = dataclasses.replace(reads, temperature=1.0, multi_label=True)
    assert ScoreSettings().of(plain) == ScoreSettings("softmax", 0.5, False, 1.5, *row)
    assert ScoreSettings().of(several) == ScoreSettings("sigmoid", 0.5, True, 1.0, *row)
    # What was said explicitly wins.
    assert ScoreSettings("sigmoid").of(plain) == ScoreSettings("sigmoid", 0.5, False, 1.5, *row)
    assert ScoreSettings("softmax").of(several) == ScoreSettings("softmax", 0.5, False, 1.0, *row)
    # A length that is given goes before what the bundle says about longer texts.
    cut = ScoreSettings("sigmoid", 0.5, True, 1.0, "truncate", None, 1)
    assert ScoreSettings().of(several, 8) == cut
    for asked in (
        ScoreSettings("softmax", 0.2, True, 3.0, "max", 9, 7),
        ScoreSettings("sigmoid", 0.2, False, 1.0, "average", 9, 64),
    ):
        assert asked.of(plain) == asked.of(several) == asked


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
        ({"temperature": math.nan}, "choose a number above 0"),
        ({"long_text": "cut"}, "long_text 'cut': choose one of truncate, average, max"),
        ({"max_windows": 65}, "max_windows 65: choose 1 to 64 windows"),
    ],
)
def test_wrong_settings_name_the_choices(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ScoreSettings(**settings)  # type: ignore[arg-type]
