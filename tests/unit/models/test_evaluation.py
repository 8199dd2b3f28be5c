"""Evaluating: the figures of a tiny model worked out by hand, and AG News' own test file."""

from __future__ import annotations

import builtins
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.calibrate import HIGHEST, LOWEST
from models.classifier import TextClassifier
from models.errors import ModelError
from models.evaluate import evaluate
from models.labelled_news import LabelledNews, read_csv
from models.plot import PlotError, check_plot, plot
from models.scores import ScoreSettings

TEST_CSV = Path(__file__).parents[3].parent / "shared" / "data" / "ag_news" / "test.csv"

NEWS = LabelledNews(("ball goal", "bank", "stock " * 30, "goal"), (0, 1, 1, 1))


@pytest.fixture
def tiny(make_bundle: Callable[..., Path]) -> TextClassifier:
    return TextClassifier.load(make_bundle())


def test_the_figures(tiny: TextClassifier) -> None:
    seen: list[int] = []
    e = evaluate(tiny, NEWS, batch_size=3, progress=seen.append)
    assert sum(seen) == e.samples == 4
    assert e.model == tiny.bundle.model_id
    assert e.eval_accuracy == 0.75
    assert e.confusion == ((1, 0), (1, 2))
    assert e.eval_precision == pytest.approx((1 / 2 + 1) / 2)
    assert e.eval_recall == pytest.approx((1 + 2 / 3) / 2)
    assert [f.support for f in e.per_label] == [1, 3]
    truth = [tiny.labels()[t] for t in NEWS.targets]
    losses = [
        -math.log(tiny.predict(text).scores[label])
        for text, label in zip(NEWS.texts, truth, strict=True)
    ]
    assert e.eval_loss == pytest.approx(sum(losses) / 4, rel=1e-5)
    assert e.truncated == 1
    assert (e.max_length, e.long_text, e.max_windows) == (16, "truncate", 1)
    assert sum(b.count for b in e.calibration) == 4
    assert e.eval_samples_per_second == pytest.approx(4 / e.eval_runtime)
    assert e.eval_steps_per_second == pytest.approx(2 / e.eval_runtime)


def test_json(tiny: TextClassifier) -> None:
    e = evaluate(tiny, NEWS)
    text = e.to_json()
    assert "\n" not in text
    values = json.loads(text)
    assert values["eval_accuracy"] == 0.75
    assert values["per_label"][1]["label"] == "Business"
    assert values["confusion"] == [[1, 0], [1, 2]]
    assert values["accuracy_interval"] == list(e.accuracy_interval)


def test_temperature(tiny: TextClassifier, make_bundle: Callable[..., Path]) -> None:
    plain = evaluate(tiny, NEWS, calibrate=True)
    fitted = plain.fitted_temperature
    assert fitted is not None
    assert (plain.temperature, evaluate(tiny, NEWS).fitted_temperature) == (1, None)
    warm = evaluate(TextClassifier.load(make_bundle("warm", config={"temperature": fitted})), NEWS)
    assert warm.temperature == fitted
    assert warm.eval_loss < plain.eval_loss
    assert warm.expected_calibration_error != plain.expected_calibration_error
    assert warm.confusion == plain.confusion
    # The fit is to the logits: the temperature in use does not matter.
    again = evaluate(
        TextClassifier(tiny.bundle, settings=ScoreSettings(temperature=9)), NEWS, calibrate=True
    )
    assert again.fitted_temperature == fitted


@pytest.mark.parametrize("long_text", ["average", "max"])
def test_a_temperature_of_windows(make_bundle: Callable[..., Path], long_text: str) -> None:
    reads = {"long_text": long_text, "max_length": 8, "max_windows": 3}
    texts = ("ball " * 12 + "bank", "bank " * 9, "stock " * 7 + "goal " * 9, "goal " * 12, "ball")
    # Not all of them are as they look: how sure scores may be has an answer.
    news = LabelledNews(texts * 2, (0, 1, 1, 0, 0, 0, 1, 0, 0, 1))
    found = evaluate(TextClassifier.load(make_bundle(config=reads)), news, calibrate=True)
    assert (found.max_length, found.long_text, found.max_windows) == (8, long_text, 3)
    fitted = found.fitted_temperature
    assert fitted is not None
    assert LOWEST * 1.1 < fitted < HIGHEST / 1.1

    def loss(temperature: float) -> float:
        folder = make_bundle(f"at{temperature}", config={**reads, "temperature": temperature})
        return evaluate(TextClassifier.load(folder), news).eval_loss

    least = loss(fitted)
    assert least < found.eval_loss
    assert least < min(loss(fitted * 0.9), loss(fitted * 1.1))


def test_what_cannot_be_evaluated(tiny: TextClassifier) -> None:
    with pytest.raises(ValueError, match="no texts"):
        evaluate(tiny, LabelledNews((), ()))
    with pytest.raises(ValueError, match="batch_size 0"):
        evaluate(tiny, NEWS, batch_size=0)
    with pytest.raises(ModelError, match="not finite"):
        evaluate(tiny, LabelledNews(("poison",), (0,)))


@pytest.mark.parametrize(
    ("name", "magic"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.SVG", b"<?xml")]
)
def test_plot(tiny: TextClassifier, tmp_path: Path, name: str, magic: bytes) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    plot(evaluate(tiny, NEWS), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_plots_that_cannot_be_drawn(
    tiny: TextClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PlotError, match=r"ends in \.png, \.pdf, \.svg"):
        check_plot(tmp_path / "a.doc")
    with pytest.raises(PlotError, match="there is no folder"):
        check_plot(tmp_path / "no" / "a.png")
    real = builtins.__import__

    def without_matplotlib(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(PlotError, match=r"pip install 'newsbeam\[plot\]'"):
        plot(evaluate(tiny, NEWS), tmp_path / "a.png")


@pytest.mark.skipif(not TEST_CSV.is_file(), reason=f"needs AG News' test file: {TEST_CSV}")
@pytest.mark.parametrize(
    ("name", "on_all"), [("ag_news", 0.9453), ("ag_news_small", 0.9453), ("ag_news_mini", 0.9418)]
)
def test_the_packaged_models_on_ag_news(name: str, on_all: float) -> None:
    """On 400 articles; `newsbeam evaluate` says how they do on all 7,600, which take too long here."""
    classifier = TextClassifier.load(name)
    news = read_csv(TEST_CSV, classifier.labels())
    assert len(news) == 7600
    assert [news.targets.count(i) for i in range(4)] == [1900] * 4
    some = LabelledNews(news.texts[::19], news.targets[::19])
    e = evaluate(classifier, some)
    low, high = e.accuracy_interval
    assert low <= on_all <= high
    assert 0.05 < e.eval_loss < 0.4
    assert e.expected_calibration_error < 0.08
