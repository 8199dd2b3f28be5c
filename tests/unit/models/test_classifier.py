"""The classifier in this process: predictions, and Spark NLP's annotate and fullAnnotate."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import classifier as classifiers
from models.bundle import Bundle
from models.classifier import Annotation, Prediction, TextClassifier
from models.errors import BundleError, ModelError
from models.scores import ScoreSettings

NEWS = {
    "World": "President meets foreign ministers for peace talks after border clashes kill dozens",
    "Sports": "Striker scores twice in the second half as the home team win the cup final",
    "Business": "Shares fall as the bank reports lower quarterly profit and cuts its dividend",
    "Sci/Tech": "New software update fixes security hole in web browser, researchers say",
}


def test_a_text(classifier: TextClassifier) -> None:
    for category, text in NEWS.items():
        prediction = classifier.predict(text)
        assert prediction.category == category
        assert prediction.text == text
        assert list(prediction.scores) == list(classifier.labels())
        assert sum(prediction.scores.values()) == pytest.approx(1)
        assert prediction.score == max(prediction.scores.values()) > 0.5
        assert prediction.labels == (category,)
        assert prediction.tokens > len(text.split())
        assert not prediction.truncated
        assert prediction.model in {s.bundle.model_id for s in classifier.bundle.stages}


def test_texts_in_order(classifier: TextClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifiers, "CHUNK", 3)
    texts = list(NEWS.values()) * 2
    assert [p.category for p in classifier.predict(texts)] == list(NEWS) * 2
    assert classifier.predict(tuple(texts)) == classifier.predict(texts)
    assert classifier.predict([]) == []


def test_same_text_same_scores(classifier: TextClassifier) -> None:
    texts = list(NEWS.values())
    assert classifier.predict(texts) == [classifier.predict(text) for text in texts]
    with ThreadPoolExecutor(4) as callers:
        for found in callers.map(lambda _: classifier.predict(texts), range(8)):
            assert found == classifier.predict(texts)


def test_texts_are_cleaned_up_where_asked(classifier: TextClassifier) -> None:
    raw, clean = "Team #39;s &lt;b&gt;striker&lt;/b&gt; scores", "Team's striker scores"
    cleaning = TextClassifier(classifier.bundle, text_clean_up="html")
    assert cleaning.predict(raw).scores == classifier.predict(clean).scores
    assert cleaning.predict(raw).text == raw
    assert cleaning.annotate(raw) == classifier.annotate(clean)
    assert (cleaning.logits([raw]).logits == classifier.logits([clean]).logits).all()
    with pytest.raises(ValueError, match="'wash'"):
        TextClassifier(classifier.bundle, text_clean_up="wash")


def test_a_prediction_is_frozen_and_becomes_json(classifier: TextClassifier) -> None:
    prediction = classifier.predict(NEWS["Sports"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        prediction.category = "World"  # type: ignore[misc]
    values = json.loads(json.dumps(prediction.as_dict()))
    assert list(values) == [f.name for f in dataclasses.fields(Prediction)]
    assert values["category"] == "Sports"


@pytest.mark.parametrize("text", ["\x00", "\ud800", "שלום عالم", "😀" * 50, "a" * 100_000])
def test_strange_texts(classifier: TextClassifier, text: str) -> None:
    assert classifier.predict(text).category in classifier.labels()
    prediction = TextClassifier(classifier.bundle, 512).predict(text)
    assert prediction.category in classifier.labels()
    assert prediction.tokens <= 512
    assert prediction.truncated == (len(text) > 1000)


def test_max_length(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    short = TextClassifier.load(folder, max_length=4)
    prediction = short.predict("ball goal stock stock stock")
    assert (prediction.category, prediction.tokens, prediction.truncated) == ("Sports", 4, True)
    assert TextClassifier.load(folder).predict("ball goal stock stock stock").category == "Business"
    assert TextClassifier.load(folder).max_length == 16
    assert TextClassifier.load(folder, max_length=None).max_length == 16


def test_settings(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    several = TextClassifier.load(folder, activation="sigmoid", multi_label=True)
    prediction = several.predict("ball ball bank")
    assert prediction.labels == ("Sports", "Business")
    assert sum(prediction.scores.values()) > 1
    assert several.annotate("ball ball bank")["class"] == ["Sports", "Business"]
    strict = TextClassifier.load(folder, threshold=1)
    assert strict.predict("ball bank").labels == ()
    calm = TextClassifier(Bundle.load(folder), settings=ScoreSettings(temperature=100))
    assert calm.predict("ball").score == pytest.approx(0.5, abs=0.02)


def test_the_bundle_says_how_sure_its_scores_are(make_bundle: Callable[..., Path]) -> None:
    text = "ball bank goal"
    plain = TextClassifier.load(make_bundle("plain")).predict(text)
    folder = make_bundle("warm", config={"temperature": 4})
    warm = TextClassifier.load(folder)
    assert warm.settings.temperature == 4
    assert warm.predict(text).category == plain.category
    assert 0.5 < warm.predict(text).score < plain.score
    hot = TextClassifier.load(folder, temperature=1)
    assert hot.predict(text).scores == plain.scores


def test_a_multi_label_bundle(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle(config={"problem_type": "multi_label_classification"})
    text = "ball ball bank"
    assert TextClassifier.load(folder).predict(text).labels == ("Sports", "Business")
    assert TextClassifier.load(folder).annotate(text)["class"] == ["Sports", "Business"]
    one = TextClassifier.load(folder, activation="softmax").predict(text)
    assert one.labels == ("Sports",)
    assert sum(one.scores.values()) == pytest.approx(1)
    assert TextClassifier.load(folder, multi_label=False).predict(text).labels == ("Sports",)


def test_case_is_the_tokenizers_affair(make_bundle: Callable[..., Path]) -> None:
    uncased = TextClassifier.load(make_bundle("uncased"))
    assert not uncased.case_sensitive
    assert uncased.predict("BALL Goal").scores == uncased.predict("ball goal").scores
    folder = make_bundle("cased")
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"normalizer": None}))
    cased = TextClassifier.load(folder)
    assert cased.case_sensitive
    assert cased.predict("ball goal").scores == uncased.predict("ball goal").scores
    assert cased.predict("BALL Goal").scores != cased.predict("ball goal").scores


def test_the_default_model_minds_case(classifier: TextClassifier) -> None:
    assert classifier.case_sensitive
    assert classifier.labels() == ("World", "Sports", "Business", "Sci/Tech")  # getClasses


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"max_length": 513}, "choose 1 to 512"),
        ({"max_length": 0}, "choose 1 to 512"),
        ({"long_text": "cut"}, "choose one of truncate, average, max"),
        ({"temperature": 0}, "choose a number above 0"),
        ({"activation": "relu"}, "choose one of softmax, sigmoid"),
        ({"threshold": 2}, "choose a score from 0 to 1"),
        ({"threads": 0}, "choose a number from 1 on"),
        # Of another kind, as they come out of a file or the environment.
        ({"max_length": "128"}, "^max_length '128': choose 1 to 512"),
        ({"max_length": 128.5}, "^max_length 128.5: choose 1 to 512"),
        ({"max_length": True}, "^max_length True: choose 1 to 512"),
        ({"max_length": []}, r"^max_length \[\]: choose 1 to 512"),
        ({"threshold": "0.5"}, "^threshold '0.5': choose a score from 0 to 1"),
        ({"threshold": float("nan")}, "^threshold nan: choose a score from 0 to 1"),
        ({"multi_label": "yes"}, "^multi_label 'yes': choose True, False, or None"),
        ({"multi_label": 1}, "^multi_label 1: choose True, False, or None"),
        ({"temperature": "2"}, "^temperature '2': choose a number above 0"),
        ({"long_text": 1}, "^long_text 1: choose one of truncate, average, max"),
        ({"max_windows": "2"}, "^max_windows '2': choose 1 to 64 windows"),
        ({"activation": 1}, "^activation 1: choose one of softmax, sigmoid"),
        ({"threads": "2"}, "^threads '2': choose a number from 1 on"),
    ],
)
def test_wrong_settings(setting: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TextClassifier.load(**setting)


def test_numbers_of_numpy_are_numbers(make_bundle: Callable[..., Path]) -> None:
    classifier = TextClassifier.load(
        make_bundle(),
        max_length=np.int64(4),
        threshold=np.float32(0.25),
        temperature=np.float64(2),
        long_text="max",
        window_tokens=np.int16(3),
        max_windows=np.int32(3),
    )
    assert json.dumps(dataclasses.asdict(classifier.reading)) == (
        '{"max_length": 4, "long_text": "max", "window_tokens": 3, "max_windows": 3}'
    )
    assert classifier.max_length == 4
    assert classifier.settings.threshold == 0.25


def test_a_model_that_does_not_fit(make_bundle: Callable[..., Path]) -> None:
    with pytest.raises(BundleError, match="gives 2 logits"):
        TextClassifier.load(make_bundle(config={"id2label": {"0": "a", "1": "b", "2": "c"}}))


def test_a_text_that_cannot_be_classified(make_bundle: Callable[..., Path]) -> None:
    classifier = TextClassifier.load(make_bundle())
    good, bad, last = classifier.outcomes(["ball", "poison", "bank"])
    assert isinstance(good, Prediction)
    assert isinstance(bad, ModelError)
    assert isinstance(last, Prediction)
    for call in (classifier.predict, classifier.logits):
        with pytest.raises(ModelError, match="not finite"):
            call(["ball", "poison"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the text is empty"),
        (" \t\n\u2003", "the text is empty"),
        (None, "the text is of the type NoneType, not str"),
        (5, "the text is of the type int, not str"),
        (float("nan"), "the text is of the type float, not str"),
        (b"goal", "the text is of the type bytes, not str"),
        ({"title": "goal"}, "the text is of the type dict, not str"),
    ],
)
def test_what_is_no_text_is_one_for_nobody(
    classifier: TextClassifier, text: Any, words: str
) -> None:
    first, fault, last = classifier.outcomes(["a", text, "b"])
    assert isinstance(first, Prediction)
    assert isinstance(last, Prediction)
    assert (first.text, last.text) == ("a", "b")
    assert isinstance(fault, ValueError)
    assert str(fault) == words
    one = (classifier.predict, classifier.annotate, classifier.full_annotate)
    for call in (*one, lambda t: classifier.predict(["a", t]), lambda t: classifier.logits([t])):
        with pytest.raises(ValueError, match=f"^{words}$"):
            call(text)


def test_texts_in_whatever_they_come(classifier: TextClassifier) -> None:
    expected = classifier.predict(["goal", "bank"])
    assert classifier.predict(np.array(["goal", "bank"])) == expected  # type: ignore[call-overload]
    assert classifier.outcomes(iter(["goal", "bank"])) == expected
    assert classifier.predict(np.str_("goal")) == expected[0]
    assert classifier.predict([]) == []


def test_logits(classifier: TextClassifier) -> None:
    output = classifier.logits(list(NEWS.values()))
    logits, truncated, windows, tokens, lengths, limit, answered = output
    assert logits.shape == (4, 4)
    assert logits.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert truncated == [False] * 4
    assert windows == [1] * 4
    assert all(2 < count < 512 for count in tokens)
    assert lengths == tokens
    assert limit >= 128
    assert set(answered) <= {0, 1}
    assert classifier.logits([])[0].shape == (0, 4)


def test_annotate(classifier: TextClassifier) -> None:
    text = "It's a goal!"
    expected = {
        "document": [text],
        "token": ["It", "'s", "a", "goal", "!"],
        "class": [classifier.predict(text).category],
    }
    assert classifier.annotate(text) == expected
    assert classifier.annotate([text, text]) == [expected, expected]


def test_full_annotate(classifier: TextClassifier) -> None:
    text = "Go 😀 go"
    found = classifier.full_annotate(text)
    assert found["document"] == [Annotation("document", 0, 6, text, {})]
    assert [(a.begin, a.end, a.result) for a in found["token"]] == [
        (0, 1, "Go"),
        (3, 3, "😀"),
        (5, 6, "go"),
    ]
    assert sum(int(a.metadata["tokens"]) for a in found["token"]) == (
        classifier.predict(text).tokens - 2
    )
    prediction = classifier.predict(text)
    (category,) = found["class"]
    assert (category.begin, category.end, category.result) == (0, 6, prediction.category)
    assert {k: float(v) for k, v in category.metadata.items()} == prediction.scores
    assert classifier.full_annotate([text]) == [found]


def test_it_is_loaded_where_it_is_used(classifier: TextClassifier) -> None:
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="load it where it is used"):
            copied(classifier)


def test_the_outcome_of_one_text(classifier: TextClassifier) -> None:
    text = "Striker scores twice"
    assert classifier.outcomes(text) == [classifier.predict(text)]
