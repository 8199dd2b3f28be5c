"""Long texts: windows that cover all of a text, and scores that come of all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle import Bundle
from models.classifier import TextClassifier
from models.errors import ModelError
from models.evaluate import evaluate
from models.labelled_news import LabelledNews
from models.long_text import MAX_WINDOWS, most_tokens, window_starts
from models.tokenize import TextTokenizer

LONG = "Rain stops play in the second test, and nobody minds. " * 60


@st.composite
def lengths_and_sizes(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(st.integers(1, 510))
    return draw(st.integers(size + 1, most_tokens(size))), size


@settings(max_examples=300)
@given(lengths_and_sizes())
def test_windows_cover_the_text_evenly(drawn: tuple[int, int]) -> None:
    length, size = drawn
    starts = window_starts(length, size)
    assert 2 <= len(starts) <= MAX_WINDOWS
    assert (starts[0], starts[-1]) == (0, length - size)
    steps = np.diff(starts)
    assert steps.min() >= 1
    assert size - steps.max() >= size // 4  # what a window has in common with the one before
    assert steps.max() - steps.min() <= 1
    # One window less would be too few.
    assert (len(starts) - 2) * max(1, size - size // 4) + size < length


def test_the_longest_text_takes_all_windows() -> None:
    for size in (1, 2, 3, 14, 510):
        assert len(window_starts(most_tokens(size), size)) == MAX_WINDOWS
        assert most_tokens(size) == (size + 63 * max(1, size - size // 4))


@settings(max_examples=300)
@given(lengths_and_sizes(), st.integers(1, MAX_WINDOWS))
def test_fewer_windows_are_spread_evenly(drawn: tuple[int, int], windows: int) -> None:
    length, size = drawn
    starts = window_starts(length, size, windows)
    wanted = window_starts(length, size)
    assert len(starts) == min(windows, len(wanted))
    assert starts[0] == 0
    if windows > 1:
        assert starts[-1] == length - size
        assert np.diff(starts).max() - np.diff(starts).min() <= 1
    if windows >= len(wanted):
        assert starts == wanted


@pytest.mark.parametrize("long_text", ["average", "max"])
@pytest.mark.parametrize("max_length", [3, 4, 16, 100])
def test_windows_of_a_text(default_bundle: Bundle, long_text: str, max_length: int) -> None:
    tokenizer = TextTokenizer(default_bundle, max_length, long_text)
    bos, *ids, eos = default_bundle.tokenizer().encode(LONG).ids
    kept = ids[: most_tokens(max_length - 2)]
    (windows, tokens, truncated, length), short = tokenizer([LONG, "Rain"])
    assert length == min(len(ids), len(kept) + 1) + 2
    starts = window_starts(len(kept), max_length - 2)
    assert [list(w) for w in windows] == [[bos, *kept[i : i + max_length - 2], eos] for i in starts]
    assert tokens == len(kept) + 2
    assert truncated == (len(kept) < len(ids))
    assert short == TextTokenizer(default_bundle, max_length)(["Rain"])[0]
    assert len(short.windows) == 1


def test_both_sides_of_the_limits(default_bundle: Bundle) -> None:
    tokenizer = TextTokenizer(default_bundle, 12, "average")
    most = most_tokens(10)
    for words, windows, truncated in (
        (10, 1, False),
        (11, 2, False),
        (most, MAX_WINDOWS, False),
        (most + 1, MAX_WINDOWS, True),
        (most * 40, MAX_WINDOWS, True),
    ):
        [found] = tokenizer(["a" + " b" * (words - 1)])
        assert (len(found.windows), found.truncated) == (windows, truncated)
        assert found.tokens == min(words, most) + 2
        assert {len(w) for w in found.windows} == {12}


@pytest.mark.parametrize("long_text", ["average", "max"])
def test_one_window_is_a_truncated_text(default_bundle: Bundle, long_text: str) -> None:
    texts = ["", "Rain", LONG]
    for max_length in (1, 2, 3, 100):
        one = TextTokenizer(default_bundle, max_length, long_text, max_windows=1)(texts)
        cut = TextTokenizer(default_bundle, max_length)(texts)
        assert [text[:3] for text in one] == [text[:3] for text in cut]


def test_two_windows_are_the_beginning_and_the_end(default_bundle: Bundle) -> None:
    tokenizer = TextTokenizer(default_bundle, 40, "max", 20, 2)
    bos, *ids, eos = default_bundle.tokenizer().encode(LONG[:700]).ids
    (windows, tokens, truncated, length), short, middling = tokenizer(
        [LONG[:700], "a" + " b" * 37, "a" + " b" * 39]
    )
    # 18 tokens of the text each.
    assert [list(w) for w in windows] == [[bos, *ids[:18], eos], [bos, *ids[-18:], eos]]
    assert (tokens, truncated, length) == (2 * 18 + 2, True, len(ids) + 2)
    # A text of up to 40 is one row; one of 42 is in two windows less the four tokens between them.
    assert ([len(w) for w in short.windows], short.tokens, short.truncated) == ([40], 40, False)
    assert [len(w) for w in middling.windows] == [20, 20]
    assert (middling.tokens, middling.truncated, middling.length) == (38, True, 42)


@pytest.mark.parametrize("max_length", [128, 512])
def test_small_windows_of_long_rows(default_bundle: Bundle, max_length: int) -> None:
    # 64 windows of 3 tokens reach less far than a row does: a longer text is windows all the same.
    tokenizer = TextTokenizer(default_bundle, max_length, "average", 3)
    row, more, far = tokenizer(["a" + " b" * (max_length - 3 + n) for n in (0, 1, 5000)])
    assert (len(row.windows), row.tokens, row.truncated) == (1, max_length, False)
    for found in (more, far):
        assert {len(window) for window in found.windows} == {3}
        assert (len(found.windows), found.tokens, found.truncated) == (64, 66, True)
    words = tokenizer.words("a" + " b" * (max_length - 2))
    assert sum(tokens for *_, tokens in words) == 64


def test_windows_that_cover_all_count_tokens_once(default_bundle: Bundle) -> None:
    [found] = TextTokenizer(default_bundle, 20, "max", 12, 3)(["a" + " b" * 19])
    # Places 0 to 10, 5 to 15 and 10 to 20 of 20.
    assert (len(found.windows), found.tokens, found.truncated) == (3, 22, False)


def test_words_between_windows_are_not_classified(default_bundle: Bundle) -> None:
    text = "Rain stops play " + "in the second test " * 30 + "and nobody minds"
    tokenizer = TextTokenizer(default_bundle, 40, "max", 20, 2)
    words = [text[begin:end] for begin, end, _ in tokenizer.words(text)]
    assert (words[:3], words[-3:]) == (["Rain", "stops", "play"], ["and", "nobody", "minds"])
    assert words.count("second") < 30
    [found] = tokenizer([text])
    assert sum(tokens for _, _, tokens in tokenizer.words(text)) == found.tokens - 2


def test_rows_without_room_are_truncated(default_bundle: Bundle) -> None:
    for max_length in (1, 2):
        windowed = TextTokenizer(default_bundle, max_length, "max")
        assert windowed(["", LONG]) == TextTokenizer(default_bundle, max_length)(["", LONG])


def test_words_of_all_windows(default_bundle: Bundle) -> None:
    whole = TextTokenizer(default_bundle, 512).words(LONG[:600])
    assert TextTokenizer(default_bundle, 16, "average").words(LONG[:600]) == whole
    assert len(TextTokenizer(default_bundle, 16).words(LONG[:600])) < len(whole)


def test_the_choices_are_named(default_bundle: Bundle) -> None:
    with pytest.raises(ValueError, match="long_text 'cut': choose one of truncate, average, max"):
        TextTokenizer(default_bundle, 16, "cut")


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def test_scores_come_of_all_windows(
    make_bundle: Callable[..., Path], embedding: np.ndarray
) -> None:
    folder = make_bundle()
    # A row of sport, then business to the end: the beginning alone says sport.
    text = "ball " * 12 + "bank " * 60
    ids = [4] * 12 + [6] * 60
    each = np.stack(
        [
            softmax(embedding[[1, *ids[i : i + 14], 2]].sum(axis=0))
            for i in window_starts(len(ids), 14)
        ]
    )
    found = {
        kind: TextClassifier.load(folder, long_text=kind).predict([text, "ball"])
        for kind in ("truncate", "average", "max")
    }
    assert [found[kind][0].category for kind in found] == ["Sports", "Business", "Business"]
    assert list(found["average"][0].scores.values()) == pytest.approx(each.mean(axis=0), abs=1e-5)
    assert list(found["max"][0].scores.values()) == pytest.approx(each.max(axis=0), abs=1e-5)
    assert [(found[k][0].tokens, found[k][0].truncated) for k in found] == [
        (16, True),
        (74, False),
        (74, False),
    ]
    # A text that fits into a row is the same each way.
    assert found["truncate"][1] == found["average"][1] == found["max"][1]


def test_a_poison_window_costs_its_text(make_bundle: Callable[..., Path]) -> None:
    classifier = TextClassifier.load(make_bundle(), long_text="average")
    texts = ["ball " * 50, "ball " * 40 + "poison", "bank " * 50]
    first, bad, last = classifier.outcomes(texts)
    assert isinstance(bad, ModelError)
    assert [first, last] == classifier.predict([texts[0], texts[2]])


@pytest.mark.parametrize("long_text", ["average", "max"])
def test_evaluation_is_of_the_joined_scores(
    make_bundle: Callable[..., Path], long_text: str
) -> None:
    classifier = TextClassifier.load(
        make_bundle(), long_text=long_text, temperature=20, activation="softmax"
    )
    news = LabelledNews(("ball " * 14 + "bank " * 40, "goal", "stock " * 9000), (1, 0, 1))
    e = evaluate(classifier, news)
    predictions = classifier.predict(news.texts)
    assert (e.eval_accuracy, e.truncated, e.long_text, e.temperature) == (1, 1, long_text, 20)
    losses = [
        -np.log(list(p.scores.values())[target] / sum(p.scores.values()))
        for p, target in zip(predictions, news.targets, strict=True)
    ]
    assert e.eval_loss == pytest.approx(np.mean(losses), rel=1e-5)
    confidence = sum(b.count * b.confidence for b in e.calibration) / 3
    assert confidence == pytest.approx(np.mean([p.score for p in predictions]), rel=1e-5)
