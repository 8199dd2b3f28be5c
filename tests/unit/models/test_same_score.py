"""The same text has the same scores, to 1e-5, whoever shares its batch: both kinds of model."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.testing.util import assert_that

from models.bundle import Bundle
from models.classifier import TextClassifier
from models.evaluate import evaluate
from models.labelled_news import LabelledNews
from models.scores import ScoreSettings
from tests.unit.models.conftest import WORDS
from tests.unit.running import local_pipeline
from transforms.classify_news import ClassifyNews
from transforms.records import CategorizedItem

HEADLINES = (
    "Striker scores twice as hosts win",
    "Shares slide after bank cuts forecast",
    "Chip maker unveils processor",
    "Peace talks collapse near the capital",
)


def batches(texts: list[str], rng: random.Random) -> Iterator[list[str]]:
    """The texts in another order, in batches of other sizes."""
    texts = rng.sample(texts, len(texts))
    while texts:
        size = rng.choice([1, 2, 3, 5, 8, 13, 40])
        yield texts[:size]
        texts = texts[size:]


def check(classifier: TextClassifier, texts: list[str], rounds: int) -> None:
    alone = {text: classifier.predict(text).scores for text in texts}
    assert len({tuple(scores.values()) for scores in alone.values()}) > len(texts) / 2
    for seed in range(rounds):
        for batch in batches(texts, random.Random(seed)):
            for found in classifier.predict(batch):
                assert found.scores == pytest.approx(alone[found.text], abs=1e-5, rel=0)


def test_the_default_model(classifier: TextClassifier) -> None:
    texts = [f"{HEADLINES[i % 4]} {'and so on, ' * (i % 7)}{i}" for i in range(24)]
    check(classifier, texts, rounds=3)


#: Settings of a bundle's config.json.
OF_BUNDLE: tuple[dict[str, Any], ...] = (
    {"long_text": "average", "max_length": 8, "max_windows": 2},
    {"long_text": "max", "max_length": 12},
)


@pytest.mark.parametrize("config", OF_BUNDLE)
@pytest.mark.parametrize("dynamic", [False, True])
def test_windows_that_the_bundle_asks_for_whichever_way_a_text_comes(
    make_bundle: Callable[..., Path], tmp_path: Path, config: dict[str, Any], dynamic: bool
) -> None:
    """Classified here, in a pipeline, evaluated: the same, and the same as if it was asked for."""
    folder = make_bundle(config={**config, "temperature": 8}, attention=True, dynamic=dynamic)
    rng = random.Random(9)
    texts = [" ".join(rng.choices(WORDS[4:8], k=rng.randrange(1, 40))) for _ in range(60)]
    texts = list(dict.fromkeys(texts))
    classifier = TextClassifier.load(folder)
    plain = Bundle.load(make_bundle("plain", attention=True, dynamic=dynamic))
    asked = TextClassifier(plain, classifier.max_length, classifier.settings)
    alone = {text: classifier.predict(text) for text in texts}
    assert {p.truncated for p in alone.values()} == {True, False} or "max_windows" not in config
    windows = classifier.logits(texts).windows
    assert 1 in windows
    assert max(windows) > 1

    def same(scores: dict[str, float], text: str) -> bool:
        return scores == pytest.approx(alone[text].scores, abs=1e-5, rel=0)

    for other in (classifier, asked):
        for found in other.predict(texts):
            assert same(found.scores, found.text)
            assert found.tokens == alone[found.text].tokens
            assert found.truncated == alone[found.text].truncated

    def check_items(items: list[CategorizedItem]) -> None:
        assert sorted(item.fields["text"] for item in items) == sorted(texts)
        for item in items:
            text = item.fields["text"]
            assert same(item.scores, text)
            assert item.category == alone[text].category
            assert (item.tokens, item.truncated) == (alone[text].tokens, alone[text].truncated)

    transform = pickler.loads(pickler.dumps(ClassifyNews(str(folder), format="text")))
    with local_pipeline() as p:
        assert_that((p | beam.Create(texts) | transform).categorized, check_items)

    labels = classifier.labels()
    evaluation = evaluate(
        classifier, LabelledNews(tuple(texts), tuple(i % 2 for i in range(len(texts))))
    )
    losses = [
        -math.log(alone[text].scores[labels[i % 2]] / sum(alone[text].scores.values()))
        for i, text in enumerate(texts)
    ]
    assert evaluation.eval_loss == pytest.approx(sum(losses) / len(texts), abs=1e-5)
    assert evaluation.truncated == sum(p.truncated for p in alone.values())


@pytest.mark.parametrize("by_bundle", [False, True])
@pytest.mark.parametrize("long_text", ["truncate", "average", "max"])
def test_a_float_model_in_micro_batches(
    make_bundle: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    long_text: str,
    by_bundle: bool,
) -> None:
    config = {"long_text": long_text} if by_bundle else {}
    bundle = Bundle.load(make_bundle(attention=True, config=config))
    assert not bundle.dynamic_int8
    asked = None if by_bundle else long_text
    classifier = TextClassifier(bundle, settings=ScoreSettings(long_text=asked, temperature=8))
    assert classifier.settings.long_text == long_text
    shapes: list[tuple[int, ...]] = []
    [model] = classifier._model.models
    feed = model._feed

    def spy(rows: list[tuple[int, ...]], length: int) -> object:
        shapes.append((len(rows), length, min(map(len, rows))))
        return feed(rows, length)

    monkeypatch.setattr(model, "_feed", spy)
    rng = random.Random(5)
    texts = [" ".join(rng.choices(WORDS[4:8], k=rng.randrange(1, 40))) for _ in range(80)]
    check(classifier, list(dict.fromkeys(texts)), rounds=10)
    # Padding took part: otherwise this says nothing.
    assert any(rows > 1 and shortest < length for rows, length, shortest in shapes)
