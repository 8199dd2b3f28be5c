"""Choosing a cascade's score: the curve is what cascades do, and chance is not taken for it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle, in_turn
from models.choose_cascade import (
    CANDIDATES,
    CHUNK,
    Answers,
    Curve,
    Figures,
    NoScoreError,
    Point,
    ask,
    draw_curve,
    targets_of,
)
from models.classifier import TextClassifier
from models.errors import BundleError
from models.evaluate import evaluate
from models.labelled_news import LabelledNews
from models.metrics import calibration, expected_calibration_error, log_softmax
from models.plot_cascade import plot_cascade
from tests.unit.models.conftest import WORDS, tiny_embedding

NAMES = ("cheap", "full")


def answers_of(
    rng: np.random.Generator, targets: np.ndarray, skill: float, seconds: float
) -> Answers:
    """Answers of a model that knows so much."""
    logits = rng.normal(0, 1, (len(targets), 3))
    logits[np.arange(len(targets)), targets] += skill
    scores = log_softmax(logits)
    tokens = rng.integers(3, 40, len(targets))
    return Answers(scores, np.exp(scores.max(axis=1)), tokens, seconds)


@pytest.fixture
def answers() -> tuple[Answers, Answers, np.ndarray]:
    """What a cheap model said, what a full one did, and what is right."""
    rng = np.random.default_rng(3)
    targets = rng.integers(0, 3, 400)
    return answers_of(rng, targets, 1, 2.0), answers_of(rng, targets, 2, 5.0), targets


def test_each_point_is_that_cascade(answers: tuple[Answers, Answers, np.ndarray]) -> None:
    cheap, full, targets = answers
    curve = draw_curve(NAMES, *answers)
    assert [p.min_score for p in curve.points] == list(CANDIDATES)
    assert curve.cheap_cost == 0.4
    right_of_full = full.log_scores.argmax(axis=1) == targets
    for point in curve.points[:: len(CANDIDATES) // 9]:
        stands = cheap.sureness >= point.min_score
        scores = np.where(stands[:, None], cheap.log_scores, full.log_scores)
        right = scores.argmax(axis=1) == targets
        error = expected_calibration_error(calibration(np.exp(scores.max(axis=1)), right))
        losses = -scores[np.arange(400), targets]
        tokens = full.tokens[~stands].sum() / full.tokens.sum()
        assert (point.accuracy, point.share) == pytest.approx((right.mean(), 1 - stands.mean()))
        assert point.expected_calibration_error == pytest.approx(error)
        assert point.cross_entropy == pytest.approx(losses.mean())
        assert point.cost == pytest.approx(0.4 + tokens)
        assert point.loss == pytest.approx(curve.full.accuracy - right.mean())
        of_full = curve.full.expected_calibration_error
        assert point.calibration_loss == pytest.approx(error - of_full)
        one_is_right = (right != right_of_full).sum()
        assert point.most_loss == pytest.approx(point.loss + (one_is_right + 1) ** 0.5 / 400)


def test_by_how_much_chance_moves_calibration(
    answers: tuple[Answers, Answers, np.ndarray],
) -> None:
    cheap, full, targets = answers
    found = draw_curve(NAMES, *answers, candidates=[0.0, 0.7])
    rng = np.random.default_rng(9)
    spread = []
    for _ in range(2000):
        drawn = rng.integers(0, 400, 400)
        errors = [
            expected_calibration_error(
                calibration(
                    np.exp(a.log_scores.max(axis=1))[drawn],
                    (a.log_scores.argmax(axis=1) == targets)[drawn],
                )
            )
            for a in (cheap, full)
        ]
        spread.append(errors[0] - errors[1])
    alone, _ = found.points
    standard_error = alone.most_calibration_loss - alone.calibration_loss
    assert standard_error == pytest.approx(np.std(spread), rel=0.1)
    # The same figures each time.
    assert draw_curve(NAMES, *answers, candidates=[0.0, 0.7]) == found
    same = draw_curve(NAMES, full._replace(seconds=1.0), full, targets)
    lost = [(p.loss, p.calibration_loss, p.most_calibration_loss) for p in same.points]
    assert np.array(lost) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("long_text", ["truncate", "average", "max"])
def test_the_curve_is_what_evaluating_a_cascade_gives(
    make_bundle: Callable[..., Path], tmp_path: Path, long_text: str
) -> None:
    says = {"long_text": long_text, "max_length": 8}
    says |= {} if long_text == "truncate" else {"max_windows": 3}
    weaker = tiny_embedding() / 4
    weaker[0] = 100
    make_bundle("cheap", embedding=weaker, config={"temperature": 0.7})
    make_bundle("full", config=says)
    words = itertools.cycle(WORDS[4:8])
    texts = tuple(
        " ".join(next(words) for _ in range(1 + i * 7 % 23)) for i in range(CHUNK + 30)
    )  # some in several windows
    news = LabelledNews(texts, tuple(i * i // 3 % 2 for i in range(len(texts))))
    stages = [(Bundle.load(tmp_path / name), 0.0) for name in NAMES]
    cheap, full = ask(in_turn(tmp_path, stages), news.texts)
    curve = draw_curve(
        NAMES,
        cheap._replace(seconds=1.0),
        full._replace(seconds=2.0),
        np.array(news.targets),
        (0.6, 0.75, 0.9),
    )
    shares = set()
    for point in curve.points:
        folder = tmp_path / f"both{point.min_score}"
        folder.mkdir()
        entries = [{"model": "../cheap", "min_score": point.min_score}, {"model": "../full"}]
        (folder / "config.json").write_text(json.dumps({"cascade": entries}))
        found = evaluate(TextClassifier.load(folder), news)
        assert found.by_model is not None
        assert point.accuracy == found.eval_accuracy
        assert point.cross_entropy == pytest.approx(found.eval_loss)
        assert point.expected_calibration_error == pytest.approx(found.expected_calibration_error)
        asked = [group.samples for group in found.by_model if group.name.startswith("full@")]
        assert point.share == pytest.approx(sum(asked) / len(news))
        shares.add(point.share)
    assert len(shares) > 1
    alone = evaluate(TextClassifier.load(tmp_path / "full"), news)
    assert curve.full.accuracy == alone.eval_accuracy
    assert curve.full.cross_entropy == pytest.approx(alone.eval_loss)


def test_models_take_turns(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    """And each is charged for its own."""
    for name, dynamic in (("cheap", True), ("full", False)):
        make_bundle(name, dynamic=dynamic)
    both = in_turn(tmp_path, [(Bundle.load(tmp_path / name), 0.0) for name in NAMES])
    ticks = itertools.chain([0, 1], [10, 13], [20, 23], [30, 31])  # cheap, full; full, cheap
    seen: list[int] = []
    cheap, full = ask(both, ["ball"] * (CHUNK + 5), seen.append, lambda: float(next(ticks)))
    assert (cheap.seconds, full.seconds) == (2, 6)
    assert seen == [CHUNK, 5]
    assert len(cheap.sureness) == len(full.tokens) == CHUNK + 5


def test_the_cheaper_one_comes_first(answers: tuple[Answers, Answers, np.ndarray]) -> None:
    cheap, full, targets = answers
    with pytest.raises(
        BundleError, match=r"^models full and cheap: the first costs 2\.50 times"
    ) as e:
        draw_curve(NAMES[::-1], full, cheap, targets)
    assert "name the cheaper one first" in str(e.value)


# ---- The choice ------------------------------------------------------------------------------------


def point(
    min_score: float, loss: float, calibration_loss: float = 0.0, share: float = 0.1
) -> Point:
    return Point(0.9, 0.01, 0.2, min_score, share, 0.4 + share, loss, loss, *[calibration_loss] * 2)


def curve_of(*points: Point, samples: int = 10_000) -> Curve:
    return Curve(NAMES, samples, 0.4, Figures(0.8, 0.02, 0.3), Figures(0.9, 0.01, 0.2), points)


def test_a_low_score_that_looks_good_by_chance() -> None:
    curve = curve_of(point(0.5, 0.0), point(0.7, 0.002), point(0.8, 0.001), point(0.9, 0.0))
    assert curve.choose(0.001).min_score == 0.8
    assert curve.choose(0.002).min_score == 0.5
    assert curve.at(0.7).loss == 0.002


def test_calibration_counts_as_accuracy_does() -> None:
    curve = curve_of(point(0.5, 0.0, 0.003), point(0.7, 0.0, 0.001), point(0.9, 0.0005, 0.0))
    assert curve.choose(0.001).min_score == 0.7
    assert curve.choose(0.0005).min_score == 0.9


def test_so_is_a_standard_error() -> None:
    unsure = replace(point(0.5, 0.0), most_loss=0.002)
    uncalibrated = replace(point(0.6, 0.0), most_calibration_loss=0.002)
    assert curve_of(unsure, uncalibrated, point(0.7, 0.0)).choose(0.001).min_score == 0.7


@pytest.mark.parametrize(
    ("points", "samples", "words"),
    [
        ([point(0.9, 0.0)], 500, r"can't be seen on 500 texts; .*a --loss of 0\.002 or more$"),
        (
            [point(0.5, 0.01), point(0.7, 0.0042), point(0.9, 0.0, share=0.7)],
            10_000,
            r"^no score at which .* loses at most 0\.001, .*; give a --loss of 0\.0042 or more",
        ),
        ([point(0.5, 0.0, share=0.7)], 10_000, "cheap costs 0.40 of what full does and is too sel"),
        ([point(0.5, 0.0, share=0.0)], 10_000, "^cheap alone loses at most 0.001: use it as it is"),
    ],
)
def test_no_score_keeps_it(points: list[Point], samples: int, words: str) -> None:
    curve = curve_of(*points, samples=samples)
    with pytest.raises(NoScoreError, match=words) as e:
        curve.choose(0.001)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("loss", [0.0042, 0.00421])
def test_the_loss_that_is_named_is_enough(loss: float) -> None:
    curve = curve_of(point(0.7, loss), point(0.9, 0.0, share=0.7))
    with pytest.raises(NoScoreError) as e:
        curve.choose(0.001)
    named = float(str(e.value).partition("a --loss of ")[2].split()[0])
    assert curve.choose(named).min_score == 0.7


def test_which_number_is_the_first_class() -> None:
    said = Answers(np.log([[0.9, 0.1], [0.2, 0.8]]), np.ones(2), np.ones(2), 1.0)
    names = LabelledNews(("a", "b"), (1, 0))
    assert targets_of(names, said)[0].tolist() == [1, 0]
    better = LabelledNews(("a", "b"), (1, 0), labels_from=1, other_targets=(0, 1))
    targets, first = targets_of(better, said)
    assert (targets.tolist(), first) == ([0, 1], 0)
    worse = LabelledNews(("a", "b"), (0, 1), labels_from=1, other_targets=(1, 0))
    assert targets_of(worse, said)[1] == 1


def test_a_picture(answers: tuple[Answers, Answers, np.ndarray], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    curve = draw_curve(NAMES, *answers)
    for chosen in (None, curve.at(0.9)):
        plot_cascade(curve, chosen, tmp_path / "curve.png")
        assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
