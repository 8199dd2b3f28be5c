"""TokenizeNews: token ids, the truncation flag, and dead letters passing by."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from models.bundle import Bundle
from models.errors import BundleError
from tests.unit.models.conftest import tiny_config, write_bundle
from tests.unit.running import local_pipeline
from transforms.errors import ConfigurationError
from transforms.records import DeadLetter, Message, NewsItem, TokenizedNews, dead_letter
from transforms.tokenize import TokenizeNews

NOW = datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)


def item(text: str) -> NewsItem:
    return NewsItem(Message(b"{}"), "1", text, {}, NOW)


def step(max_length: int | None = None) -> TokenizeNews:
    tokenize = TokenizeNews(max_length=max_length)
    tokenize.setup()
    return tokenize


@pytest.fixture(scope="module")
def eight() -> TokenizeNews:
    return step(8)


def tokenized(tokenize: TokenizeNews, text: str) -> TokenizedNews:
    [found] = tokenize.process(item(text))
    assert isinstance(found, TokenizedNews), found
    assert found.news == item(text)
    return found


def test_token_ids_are_the_tokenizers() -> None:
    text = "Striker scores twice as hosts win the cup final"
    expected = Bundle.load().tokenizer().encode(text).ids
    found = tokenized(step(), text)
    assert found.windows == (tuple(expected),)
    assert found.tokens == len(expected)
    assert not found.truncated


@given(st.text(max_size=100))
def test_a_row_is_never_longer_than_asked_for(eight: TokenizeNews, text: str) -> None:
    [ids] = tokenized(eight, text).windows
    assert 1 <= len(ids) <= 8


def test_what_is_cut_off_is_said(eight: TokenizeNews) -> None:
    short, long = tokenized(eight, "Cup final"), tokenized(eight, "Cup final " * 20)
    assert not short.truncated
    assert long.truncated
    assert long.tokens == len(long.windows[0]) == 8
    # The closing special token stays.
    assert long.windows[0][-1] == short.windows[0][-1]


def test_a_lone_surrogate_is_no_error(eight: TokenizeNews) -> None:
    assert tokenized(eight, "half \ud83d").windows


def test_dead_letters_pass(eight: TokenizeNews) -> None:
    letter = dead_letter(Message(b"x"), "ParseNews", ValueError("no"))
    assert list(eight.process(letter)) == [letter]


@pytest.mark.parametrize("long_text", ["average", "max"])
def test_long_texts_in_windows(long_text: str) -> None:
    tokenize = TokenizeNews(max_length=8, long_text=long_text)
    tokenize.setup()
    found = tokenized(tokenize, "Cup final " * 20)
    assert {len(w) for w in found.windows} == {8}
    assert found.tokens == len(Bundle.load().tokenizer().encode("Cup final " * 20).ids)
    assert not found.truncated
    assert len(tokenized(tokenize, "Cup final").windows) == 1


def test_it_reads_as_the_bundle_says(tmp_path: Path) -> None:
    says = {"long_text": "average", "max_length": 8, "max_windows": 2}
    folder = write_bundle(tmp_path / "tiny", config=says)
    long = "ball " * 30

    def read(**given: Any) -> tuple[list[int], bool]:
        tokenize = pickler.loads(pickler.dumps(TokenizeNews(folder, **given)))
        tokenize.setup()
        found = tokenized(tokenize, long)
        assert len(tokenized(tokenize, "ball").windows) == 1
        return [len(w) for w in found.windows], found.truncated

    assert read() == ([8, 8], True)
    assert read(max_length=16) == ([16], True)
    assert read(long_text="max") == ([8] * 6, False)
    assert read(max_windows=4) == ([8] * 4, True)
    assert read(window_tokens=7, max_windows=3) == ([7] * 3, True)
    # What counts is what the worker finds.
    tokenize = TokenizeNews(folder)
    (folder / "config.json").write_text(json.dumps(tiny_config()))
    tokenize.setup()
    assert [len(w) for w in tokenized(tokenize, long).windows] == [16]


def test_what_long_text_may_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'cut': choose one of truncate, average, max"):
        TokenizeNews(long_text="cut")
    with pytest.raises(ConfigurationError, match="max_windows 65: choose 1 to 64"):
        TokenizeNews(long_text="max", max_windows=65)
    with pytest.raises(ConfigurationError, match="max_windows 2: goes with long_text average or"):
        TokenizeNews(write_bundle(tmp_path / "tiny"), max_windows=2)


@pytest.mark.parametrize("max_length", [0, -1, 513])
def test_a_maximum_length_out_of_range(max_length: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{max_length}.*512"):
        TokenizeNews(max_length=max_length)


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises((BundleError, ConfigurationError), match=r"config\.json"):
        TokenizeNews(tmp_path)


def test_in_a_pipeline() -> None:
    letter = dead_letter(Message(b"x"), "ParseNews", ValueError("no"))
    with local_pipeline() as p:
        out = p | beam.Create([item("Cup final"), letter]) | beam.ParDo(TokenizeNews())
        kinds = out | beam.Map(lambda record: type(record).__name__)
        assert_that(kinds, equal_to([TokenizedNews.__name__, DeadLetter.__name__]))
