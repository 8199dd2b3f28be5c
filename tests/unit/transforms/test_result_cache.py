"""Results that are kept: exact, bounded, nothing of what failed, and counted."""

from __future__ import annotations

import gc
import time
import tracemalloc
import weakref
from collections import Counter
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.util import assert_that, equal_to

from models.bundle import Bundle
from models.cascade import Answer, ModelCascade
from models.errors import ModelError
from models.reading import Reading
from tests.unit.running import local_pipeline
from tests.unit.transforms.test_tokenize import NOW
from transforms import ahead, result_cache
from transforms.classify import OnnxTextClassifier
from transforms.classify_news import ClassifyNews
from transforms.coders import RecordCoder
from transforms.errors import ConfigurationError
from transforms.pace import PACE
from transforms.records import DeadLetter, Message, NewsItem, TokenizedNews
from transforms.result_cache import ResultCache
from transforms.tally import TALLY
from transforms.tokenize import TokenizeNews

TEXTS = ["Striker scores", "Shares fall", "Chip", "Striker scores", "Vote", "Striker scores"]


@pytest.fixture(autouse=True)
def _no_results() -> None:
    result_cache._caches.clear()


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ModelCascade:
    """A model that counts how often it was asked about which row."""
    loaded = OnnxTextClassifier("ag_news_mini").load_model()
    [only] = loaded.models
    real = only.run

    def run(rows: Sequence[Sequence[int]]) -> list[np.ndarray | Exception]:
        ASKED.update(map(tuple, rows))
        return real(rows)

    ASKED.clear()
    monkeypatch.setattr(only, "run", run)
    return loaded


ASKED: Counter[tuple[int, ...]] = Counter()


def classified(model: ModelCascade, texts: Sequence[str], size: int, **given: Any) -> list[Any]:
    """What comes of texts in a bundle of their own."""
    step = TokenizeNews("ag_news_mini", result_cache=size, **given)
    step.setup()
    step.start_bundle()
    held = []
    for i, text in enumerate(texts):
        news = NewsItem(Message(b"{}"), str(i), text, {}, NOW)
        held += [v.value for v in step.process(news, 0, None)]
    held += [v.value for v in step.finish_bundle()]
    assert all(isinstance(news, TokenizedNews) for news in held)
    return list(OnnxTextClassifier("ag_news_mini").run_inference(held, model))


def test_identical_texts_are_classified_once(model: ModelCascade) -> None:
    expected = classified(model, TEXTS, 0)
    assert max(ASKED.values()) == 3
    ASKED.clear()
    for _ in range(2):
        found = classified(model, TEXTS, 10)
        assert [p.inference for p in found] == [p.inference for p in expected]
        assert [p.example.tokens for p in found] == [p.example.tokens for p in expected]
        assert [p.example.news.id for p in found] == list("012345")
    assert set(ASKED.values()) == {1}
    assert len(ASKED) == 4
    counts = TALLY.snapshot()
    assert (counts.looked_up, counts.hits) == (12, 8)


def test_the_oldest_are_dropped(model: ModelCascade) -> None:
    cache = ResultCache.of_process(
        2, model.bundle.model_id, Reading.of(Bundle.load("ag_news_mini"))
    )
    classified(model, ["a", "b", "a", "c", "a", "b"], 2)
    assert len(cache) == 2
    assert TALLY.snapshot().hits == 2  # a, twice; b was dropped for c
    assert cache.get("a") is not None
    assert cache.get("c") is None


def test_other_readings_share_nothing(model: ModelCascade) -> None:
    long = "Striker scores " * 40
    [whole] = classified(model, [long], 10)
    [cut] = classified(model, [long], 10, max_length=8)
    assert TALLY.snapshot().hits == 0
    assert (whole.example.truncated, cut.example.truncated) == (False, True)
    assert cut.example.tokens == 8


def test_what_failed_is_tried_again(model: ModelCascade, monkeypatch: pytest.MonkeyPatch) -> None:
    [only] = model.models
    real = only.run
    monkeypatch.setattr(only, "run", lambda rows: [ModelError("out of memory")] * len(rows))
    [failed, again] = classified(model, ["Shares fall", "Shares fall"], 10)
    assert isinstance(failed, DeadLetter)
    assert isinstance(again, DeadLetter)
    monkeypatch.setattr(only, "run", real)
    [good] = classified(model, ["Shares fall"], 10)
    assert max(good.inference.values()) > 0.25


@pytest.mark.parametrize("text", ["half \ud83d", "\x00", "é", "e\u0301", " Chip", "Chip "])
def test_any_text(model: ModelCascade, text: str) -> None:
    first, second, other = classified(model, [text, text, "Chip"], 10)
    assert first.inference == second.inference
    assert TALLY.snapshot().hits == 1
    assert len(ASKED) == 1 + (first.example.windows != other.example.windows)


def test_in_a_pipeline() -> None:
    news = [{"title": TEXTS[i % 6], "id": str(i)} for i in range(300)]
    with local_pipeline() as pipeline:
        found = (
            pipeline
            | beam.Create(news, reshuffle=False)
            | ClassifyNews("ag_news_mini", result_cache=100)
        ).categorized
        assert_that(found | beam.Map(lambda item: item.id), equal_to([str(i) for i in range(300)]))
    counts = TALLY.snapshot()
    assert counts.looked_up == 300
    assert counts.hits == 296


@pytest.mark.parametrize("size", [-1, 10_000_001, 1.5, True, "3", None])
def test_a_size_that_makes_no_sense(size: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"result_cache {size!r}: choose 0 to"):
        ClassifyNews(result_cache=size)


def test_a_result_keeps_neither_its_model_nor_others_alive() -> None:
    loaded = OnnxTextClassifier("ag_news_mini").load_model()
    cache = ResultCache.of_process(
        1, loaded.bundle.model_id, Reading.of(Bundle.load("ag_news_mini"))
    )
    results = classified(loaded, ["Vote", "Chip", "Shares fall"], 1)
    kept = cache.get("Shares fall")
    assert kept is not None
    model = weakref.ref(loaded)
    del loaded, results
    gc.collect()
    assert model() is None
    assert len([o for o in gc.get_referents(kept.begun) if isinstance(o, Answer)]) == 1
    assert not [o for o in gc.get_objects() if isinstance(o, ahead._Group)]


def test_a_known_result_is_no_work_since_it_was_found(
    model: ModelCascade, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    since: list[float] = []
    monkeypatch.setattr(PACE, "worked", lambda messages, at: since.append(at))
    classified(model, ["Vote"], 10)
    clock[0] = 3700.0
    classified(model, ["Vote"], 10)
    assert TALLY.snapshot().hits == 1
    assert since == [100.0, 3700.0]


def test_work_that_breaks_down_is_begun_anew(
    model: ModelCascade, monkeypatch: pytest.MonkeyPatch
) -> None:
    [only] = model.models
    real = only.run

    def breaks(rows: Sequence[Sequence[int]]) -> list[np.ndarray | Exception]:
        raise MemoryError

    monkeypatch.setattr(only, "run", breaks)
    with pytest.raises(MemoryError):
        classified(model, ["Vote"], 10)
    monkeypatch.setattr(only, "run", real)
    [good] = classified(model, ["Vote"], 10)
    assert max(good.inference.values()) > 0.25


def test_a_failed_bundle_counts_nothing(model: ModelCascade) -> None:
    step = TokenizeNews("ag_news_mini", result_cache=10)
    step.setup()
    for text in ("Vote", "Chip"):
        step.start_bundle()
        list(step.process(NewsItem(Message(b"{}"), text, text, {}, NOW), 0, None))
    list(step.finish_bundle())
    assert TALLY.snapshot().looked_up == 1


def test_a_result_takes_up_to_2_kb(model: ModelCascade) -> None:
    texts = [f"{i} " + "Striker scores twice again " * 30 for i in range(200)]
    found = classified(model, texts[:1], 200, max_length=128)  # what is made once
    assert len(found[0].example.windows[0]) > 100
    gc.collect()
    tracemalloc.start()
    classified(model, texts, 200, max_length=128)
    ASKED.clear()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(texts) < 2000


def test_a_known_text_has_the_rows_that_it_had(model: ModelCascade) -> None:
    texts = ["Striker scores " * 40] * 2
    first, second = classified(model, texts, 10, long_text="average", max_length=16)
    assert TALLY.snapshot().hits == 1
    assert len(first.example.windows) > 1
    assert second.example.windows == first.example.windows
    coder = RecordCoder()
    assert coder.decode(coder.encode(second.example)).windows == first.example.windows
