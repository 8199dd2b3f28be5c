"""What a card shows of long texts."""

from __future__ import annotations

import numpy as np
import pytest

from models.classifier import TextClassifier
from models.groups import LENGTHS
from models.labelled_news import LabelledNews
from training import lengths

NEWS = LabelledNews(
    (
        "PARIS (Reuters) - The president met ministers of the government for talks.",
        "The striker scored twice as United won the cup final.",
        "Shares rose after the company reported record profit.",
        "Scientists built a faster chip for computers.",
    ),
    (0, 1, 2, 3),
)


@pytest.fixture(scope="module")
def classifier() -> TextClassifier:
    return TextClassifier.load("ag_news_mini")


def test_joined_texts_have_every_length_and_label(classifier: TextClassifier) -> None:
    tokenizer = classifier.bundle.tokenizer()
    found = lengths.joined(LabelledNews(NEWS.texts * 80, NEWS.targets * 80), tokenizer)
    counts = np.array([len(encoding.ids) for encoding in tokenizer.encode_batch(list(found.texts))])
    each = len(found) // len(LENGTHS)
    for number, longest in enumerate(LENGTHS):
        here = slice(number * each, (number + 1) * each)
        # A cut may part what was one token.
        assert np.median(counts[here]) == longest
        assert np.bincount(found.targets[here]).tolist() == [each // 4] * 4
    assert not any("Reuters" in text for text in found.texts)


def test_figures_of_each_source_and_length(classifier: TextClassifier) -> None:
    long = " ".join([NEWS.texts[1]] * 60)
    sources = {"short": NEWS, "long": LabelledNews((long, long), (1, 0))}
    found = lengths.by_length(classifier, sources)
    assert [(f["texts"], f["longest"], f["samples"]) for f in found] == [
        ("short", 0, 4),
        ("short", 16, 3),
        ("short", 32, 1),
        ("long", 0, 2),
        ("long", None, 2),
    ]
    whole = found[3]
    assert (whole["accuracy"], whole["recall"]) == (0.5, 0.0)
    assert found[1]["recall"] is None or found[2]["recall"] is None
    assert 0.4 < whole["calibration_error"] <= 0.5
