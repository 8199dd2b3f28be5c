"""Tokenizing: cut to the limit, special tokens kept, long texts shortened without a trace."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers, processors, trainers
from tokenizers.models import BPE

from models.bundle import Bundle
from models.tokenize import CHARACTERS_PER_TOKEN, MARGIN, TextTokenizer

BOS, EOS = 0, 2


def cut(ids: list[int], max_length: int) -> tuple[int, ...]:
    """What truncation must give: the first tokens, then the closing special token."""
    if len(ids) <= max_length:
        return tuple(ids)
    return (*ids[: max_length - 1], EOS)


def rows(tokenizer: TextTokenizer, texts: list[str]) -> list[tuple[tuple[int, ...], bool]]:
    """The one row of each text, and whether it was truncated."""
    found = []
    for text in tokenizer(texts):
        [ids] = text.windows
        assert text.tokens == len(ids)
        found.append((ids, text.truncated))
    return found


def test_a_sentence(default_bundle: Bundle) -> None:
    assert rows(TextTokenizer(default_bundle), ["Hello world", ""]) == [
        ((0, 44, 11239, 734, 2), False),
        ((0, 2), False),
    ]
    assert TextTokenizer(default_bundle)([]) == []


@pytest.mark.parametrize(
    ("max_length", "expected"),
    [
        (1, [((BOS,), True), ((BOS,), True), ((BOS,), True)]),
        (2, [((BOS, EOS), False), ((BOS, EOS), True), ((BOS, EOS), True)]),
        (3, [((BOS, EOS), False), ((BOS, 69, EOS), False), ((BOS, 69, EOS), True)]),
    ],
)
def test_small_limits(
    default_bundle: Bundle, max_length: int, expected: list[tuple[tuple[int, ...], bool]]
) -> None:
    assert rows(TextTokenizer(default_bundle, max_length), ["", "a", "a b"]) == expected


def test_around_the_limit(default_bundle: Bundle) -> None:
    tokenizer = TextTokenizer(default_bundle, 12)
    whole = default_bundle.tokenizer()
    texts = ["a" + " b" * n for n in range(20)]
    found = rows(tokenizer, texts)
    for text, (ids, truncated) in zip(texts, found, strict=True):
        full = whole.encode(text).ids
        assert ids == cut(full, 12)
        assert truncated == (len(full) > 12)
    assert {truncated for _, truncated in found} == {True, False}


@pytest.mark.parametrize("max_length", [0, 513, -1])
def test_the_range_is_named(default_bundle: Bundle, max_length: int) -> None:
    with pytest.raises(ValueError, match=f"max_length {max_length}: choose 1 to 512"):
        TextTokenizer(default_bundle, max_length)


def test_a_model_may_take_fewer(make_bundle: Callable[..., Path]) -> None:
    tokenizer = TextTokenizer(Bundle.load(make_bundle()), 512)
    assert tokenizer.max_length == 16
    ids, truncated = rows(tokenizer, ["ball " * 100])[0]
    assert ids == (1, *[4] * 14, 2)
    assert truncated


def test_lone_surrogates(default_bundle: Bundle) -> None:
    tokenizer = TextTokenizer(default_bundle)
    assert tokenizer(["a \ud800 b", "c"]) == tokenizer(["a \ufffd b", "c"])


#: Pieces that make words grow, shrink and change across a cut: contractions, runs of spaces,
#: digits, punctuation, combining marks, emoji, scripts without spaces.
PIECES = ["a", " ", "  ", "\n", "'", "'l", "'ll", "it's", "1", ".", "...", "é", "e\u0301", "\u0301"]
PIECES += ["😀", "日本", "news", "\ud800", "\x00", "ß", "\u200d", "!?", "ing", " The"]


# Loading a tokenizer takes longer than using it.
tokenizer_of = functools.cache(TextTokenizer)
whole_tokenizer_of = functools.cache(Bundle.tokenizer)


@settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=40),
    times=st.integers(1, 60),
    max_length=st.sampled_from([1, 2, 3, 8, 24]),
)
def test_shortening_changes_nothing(
    default_bundle: Bundle, pieces: list[str], times: int, max_length: int
) -> None:
    text = "".join(pieces) * times
    [(ids, truncated)] = rows(tokenizer_of(default_bundle, max_length), [text])
    full = whole_tokenizer_of(default_bundle).encode(text.replace("\ud800", "\ufffd")).ids
    if max_length > 1:
        assert ids == cut(full, max_length)
    assert truncated == (len(full) > max_length)


@pytest.mark.parametrize("piece", ["news of the day, ", "x", " ", "\n\n", "'ll", "😀", "1,000 "])
def test_a_very_long_text(default_bundle: Bundle, piece: str) -> None:
    text = piece * (200_000 // len(piece.encode()))
    tokenizer = TextTokenizer(default_bundle, 512)
    [(ids, truncated)] = rows(tokenizer, [text])
    assert truncated
    assert ids == cut(default_bundle.tokenizer().encode(text).ids, 512)


def test_long_texts_are_shortened_before_they_are_tokenized(default_bundle: Bundle) -> None:
    tokenizer = TextTokenizer(default_bundle, 16)
    text = "news of the day " * 100_000
    assert len(tokenizer._shorten(text)) == 16 * CHARACTERS_PER_TOKEN + MARGIN
    # One word of a million letters may change its first tokens with its last letters.
    word = "x" * 100_000
    assert tokenizer._shorten(word) == word


def test_unknown_parts_get_the_whole_text(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    text = "ball " * 10_000
    assert TextTokenizer(Bundle.load(folder))._shorten(text) != text
    file = folder / "tokenizer.json"
    parts = json.loads(file.read_text())
    parts["pre_tokenizer"] = {
        "type": "Split",
        "pattern": {"Regex": r"\S+(?=.*ball)"},
        "behavior": "Isolated",
        "invert": False,
    }
    file.write_text(json.dumps(parts))
    assert TextTokenizer(Bundle.load(folder))._shorten(text) == text


def test_words(default_bundle: Bundle) -> None:
    text = "It's a Café 😀 win!"
    words = TextTokenizer(default_bundle).words(text)
    assert [text[b:e] for b, e, _ in words] == ["It", "'s", "a", "Café", "😀", "win", "!"]
    total = sum(tokens for _, _, tokens in words)
    assert total == len(default_bundle.tokenizer().encode(text).ids) - 2
    assert TextTokenizer(default_bundle, 2).words(text) == []
    assert [text[b:e] for b, e, _ in TextTokenizer(default_bundle, 4).words(text)] == ["It", "'s"]


@pytest.fixture
def metaspace(make_bundle: Callable[..., Path]) -> Bundle:
    """A bundle with a tokenizer as XLM-R and DeBERTa v3 have: words carry the space before them."""
    folder = make_bundle()
    tokenizer = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        ["goal ball 日本 win "],
        trainers.BpeTrainer(
            special_tokens=["<pad>", "<s>", "</s>", "<unk>"],
            max_token_length=3,
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = json.loads((folder / "config.json").read_text())
    config["vocab_size"] = tokenizer.get_vocab_size()
    (folder / "config.json").write_text(json.dumps(config))
    return Bundle.load(folder)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("goal ball", [(0, 4), (5, 9)]),
        (" goal \n  ball\t", [(1, 5), (9, 13)]),
        ("日本", [(0, 2)]),
        ("   ", []),
        ("", []),
    ],
)
def test_words_without_the_space_before_them(
    metaspace: Bundle, text: str, expected: list[tuple[int, int]]
) -> None:
    words = TextTokenizer(metaspace).words(text)
    assert [(begin, end) for begin, end, _ in words] == expected
    assert all(tokens >= 1 for _, _, tokens in words)


@pytest.mark.parametrize(
    ("normalizer", "case_sensitive"),
    [
        (None, True),
        ({"type": "Lowercase"}, False),
        ({"type": "NFKC"}, True),
        ({"type": "Prepend", "prepend": "▁"}, True),  # changes "A", too
    ],
)
def test_case(
    make_bundle: Callable[..., Path], normalizer: dict[str, str] | None, case_sensitive: bool
) -> None:
    folder = make_bundle()
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"normalizer": normalizer}))
    assert TextTokenizer(Bundle.load(folder)).case_sensitive is case_sensitive
