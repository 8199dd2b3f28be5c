"""How much of a text is read: the bundle's word, and what is given in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.bundle import Bundle
from models.classifier import TextClassifier
from models.reading import Reading
from models.scores import ScoreSettings
from models.tokenize import TextTokenizer

MakeBundle = Callable[..., Path]

#: What a bundle of windows says.
WINDOWS = {"max_length": 8, "long_text": "average", "max_windows": 2}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (8, "average", 8, 2)),
        # Rows of that length, cut off.
        ({"max_length": 12}, (12, "truncate", 12, 1)),
        ({"max_length": 512}, (16, "truncate", 16, 1)),  # no more than the model takes
        # The bundle's rows, all of the text.
        ({"long_text": "average"}, (8, "average", 8, 64)),
        ({"long_text": "max"}, (8, "max", 8, 64)),
        ({"long_text": "truncate"}, (8, "truncate", 8, 1)),
        ({"max_windows": 3}, (8, "average", 8, 3)),
        ({"max_windows": 1}, (8, "average", 8, 1)),
        ({"max_length": 12, "long_text": "average"}, (12, "average", 12, 64)),
        ({"max_length": 12, "long_text": "max", "max_windows": 5}, (12, "max", 12, 5)),
        ({"long_text": "max", "max_windows": 5}, (8, "max", 8, 5)),
        ({"max_length": 8, "long_text": "average", "max_windows": 2}, (8, "average", 8, 2)),
        ({"window_tokens": 5}, (8, "average", 5, 64)),
        ({"window_tokens": 5, "max_windows": 3}, (8, "average", 5, 3)),
        ({"long_text": "max", "window_tokens": 5}, (8, "max", 5, 64)),
        # Only special tokens fit into such a row.
        ({"max_length": 2, "long_text": "max"}, (2, "truncate", 2, 1)),
    ],
)
def test_what_is_given_hides_what_the_bundle_says_of_the_rest(
    make_bundle: MakeBundle, given: dict[str, Any], expected: tuple[int, str, int, int]
) -> None:
    bundle = Bundle.load(make_bundle(config=WINDOWS))
    reading = Reading.of(bundle, **given)
    assert reading == Reading(*expected)
    # Whoever is asked: it is one function.
    assert TextTokenizer(bundle, **given).reading == reading
    classifier = TextClassifier.load(bundle.path, **given)
    assert (classifier.reading, classifier.max_length) == (reading, reading.max_length)
    assert classifier.settings.long_text == reading.long_text
    assert classifier.settings.max_windows == reading.max_windows


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (8, "average", 5, 2)),
        ({"max_windows": 3}, (8, "average", 5, 3)),
        ({"window_tokens": 6}, (8, "average", 6, 64)),
        ({"long_text": "average"}, (8, "average", 8, 64)),
        ({"max_length": 12}, (12, "truncate", 12, 1)),
        ({"max_length": 12, "long_text": "max", "max_windows": 2}, (12, "max", 12, 2)),
    ],
)
def test_windows_smaller_than_rows(
    make_bundle: MakeBundle, given: dict[str, Any], expected: tuple[int, str, int, int]
) -> None:
    bundle = Bundle.load(make_bundle(config=WINDOWS | {"window_tokens": 5}))
    assert Reading.of(bundle, **given) == Reading(*expected)
    assert TextClassifier.load(bundle.path, **given).reading == Reading(*expected)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (16, "truncate", 16, 1)),
        ({"max_length": 4}, (4, "truncate", 4, 1)),
        ({"long_text": "average"}, (16, "average", 16, 64)),
        ({"long_text": "max", "max_windows": 7}, (16, "max", 16, 7)),
    ],
)
# A `max_length` of text generation stands in many a config.json, and says nothing about rows.
@pytest.mark.parametrize("config", [{}, {"max_length": 5, "max_windows": 3, "long_text": None}])
def test_a_bundle_that_says_nothing(
    make_bundle: MakeBundle,
    config: dict[str, Any],
    given: dict[str, Any],
    expected: tuple[int, str, int, int],
) -> None:
    assert Reading.of(Bundle.load(make_bundle(config=config)), **given) == Reading(*expected)


def test_512_tokens_by_default(make_bundle: MakeBundle) -> None:
    bundle = Bundle.load(make_bundle(config={"max_position_embeddings": 4096}))
    assert Reading.of(bundle) == Reading(512, "truncate", 512, 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_windows": 0}, "^max_windows 0: choose 1 to 64 windows$"),
        ({"max_windows": 65}, "^max_windows 65: choose 1 to 64 windows$"),
        ({"max_windows": True}, "^max_windows True: choose 1 to 64 windows$"),
        ({"max_windows": 2.0}, "^max_windows 2.0: choose"),
        ({"long_text": "cut"}, "^long_text 'cut': choose one of truncate, average, max$"),
        ({"max_length": 513}, "^max_length 513: choose 1 to 512 tokens"),
        (
            {"max_length": 12, "max_windows": 2},
            "^max_windows 2: goes with long_text average or max",
        ),
        ({"long_text": "truncate", "max_windows": 2}, "^max_windows 2: goes with long_text"),
        (
            {"window_tokens": 9},
            "^window_tokens 9: choose 1 to 8 tokens .*as many as a row may have",
        ),
        ({"window_tokens": 0}, "^window_tokens 0: choose 1 to"),
        ({"max_length": 12, "window_tokens": 4}, "^window_tokens 4: goes with long_text"),
        (
            {"window_tokens": 2},
            "^window_tokens 2: the model's special tokens alone are 2; choose 3 to 8 tokens$",
        ),
    ],
)
def test_what_can_not_be(make_bundle: MakeBundle, given: dict[str, Any], words: str) -> None:
    folder = make_bundle(config=WINDOWS)
    with pytest.raises(ValueError, match=words):
        Reading.of(Bundle.load(folder), **given)
    with pytest.raises(ValueError, match=words):
        TextClassifier.load(folder, **given)


def test_windows_of_a_bundle_that_has_none(make_bundle: MakeBundle) -> None:
    with pytest.raises(ValueError, match="max_windows 2: goes with long_text average or max"):
        Reading.of(Bundle.load(make_bundle()), max_windows=2)


def test_settings_that_were_filled_in_can_be_used_again(make_bundle: MakeBundle) -> None:
    for config in ({}, WINDOWS):
        bundle = Bundle.load(make_bundle(f"tiny{len(config)}", config=config))
        for given in (ScoreSettings(), ScoreSettings(long_text="truncate")):
            settings = given.of(bundle)
            assert settings.of(bundle) == settings
            assert settings.of(bundle, 16) == settings


@pytest.mark.parametrize(
    ("reading", "limit", "words"),
    [
        (Reading(512, "truncate", 512, 1), "512 tokens", "the first 512 tokens"),
        (Reading(64, "average", 64, 1), "64 tokens", "the first 64 tokens"),
        (Reading(1, "truncate", 1, 1), "1 token", "the first 1 token"),
        (
            Reading(64, "average", 64, 2),
            "2 windows of 64 tokens",
            "up to 2 windows of 64 tokens, averaged",
        ),
        (
            Reading(16, "max", 16, 64),
            "64 windows of 16 tokens",
            "up to 64 windows of 16 tokens, their highest scores",
        ),
        (
            Reading(128, "average", 48, 2),
            "128 tokens and 2 windows of 48 tokens",
            "up to 128 tokens, or 2 windows of 48 tokens, averaged",
        ),
        (
            Reading(128, "average", 48, 1),
            "128 tokens and 1 window of 48 tokens",
            "up to 128 tokens, or the first 48 tokens",
        ),
    ],
)
def test_in_words(reading: Reading, limit: str, words: str) -> None:
    assert (reading.limit, str(reading)) == (limit, words)
