"""The same text has the same scores, to 1e-5, whoever shares its batch: both kinds of model."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.bundle import Bundle
from models.classifier import TextClassifier
from models.scores import ScoreSettings
from tests.unit.models.conftest import WORDS

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


@pytest.mark.parametrize("long_text", ["truncate", "average", "max"])
def test_a_float_model_in_micro_batches(
    make_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, long_text: str
) -> None:
    bundle = Bundle.load(make_bundle(attention=True))
    assert not bundle.dynamic_int8
    classifier = TextClassifier(bundle, settings=ScoreSettings(long_text=long_text, temperature=8))
    shapes: list[tuple[int, ...]] = []
    feed = classifier._model._feed

    def spy(batch: list[int], rows: list[tuple[int, ...]], length: int) -> object:
        shapes.append((len(batch), length, min(len(rows[i]) for i in batch)))
        return feed(batch, rows, length)

    monkeypatch.setattr(classifier._model, "_feed", spy)
    rng = random.Random(5)
    texts = [" ".join(rng.choices(WORDS[4:8], k=rng.randrange(1, 40))) for _ in range(80)]
    check(classifier, list(dict.fromkeys(texts)), rounds=10)
    # Padding took part: otherwise this says nothing.
    assert any(rows > 1 and shortest < length for rows, length, shortest in shapes)
