"""The model works ahead: on texts that wait, while the outputs of those before are on their way."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.transforms.window import FixedWindows, SlidingWindows, TimestampedValue

from models.bundle import Bundle
from models.cascade import Answer, ModelCascade, Rows
from models.errors import ModelError
from tests.unit.running import local_pipeline
from tests.unit.transforms.test_tokenize import NOW
from transforms import ahead
from transforms.ahead import GROUP, HELD_BACK, Ahead
from transforms.classify import OnnxTextClassifier
from transforms.classify_news import ClassifyNews
from transforms.coders import RecordCoder
from transforms.records import CategorizedItem, DeadLetter, Message, NewsItem, TokenizedNews
from transforms.tokenize import TokenizeNews

#: What steps of a pipeline have seen, in order; they run in this process.
SEEN: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    SEEN.clear()


@pytest.fixture
def model() -> Iterator[ModelCascade]:
    """A model that this process has loaded."""
    loaded = OnnxTextClassifier("ag_news_mini").load_model()
    yield loaded
    del loaded
    gc.collect()


def item(text: str) -> NewsItem:
    return NewsItem(Message(b"{}"), text, text, {}, NOW)


def begun(model: ModelCascade, count: int) -> list[TokenizedNews]:
    """Items that the step before RunInference has begun."""
    step = TokenizeNews("ag_news_mini")
    step.setup()
    step.start_bundle()
    held = [v for i in range(count) for v in step.process(item(f"news {i}"), 0, None)]
    return [v.value for v in [*held, *step.finish_bundle()]]


def test_items_come_out_in_order_and_begun(model: ModelCascade) -> None:
    count = HELD_BACK + 3 * GROUP + 1
    found = begun(model, count)
    assert [news.news.text for news in found] == [f"news {i}" for i in range(count)]
    assert all(news.begun.model_id == model.bundle.model_id for news in found)


def test_what_was_begun_is_what_counts(
    model: ModelCascade, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = begun(model, 20)
    handler = OnnxTextClassifier("ag_news_mini")
    fresh = [TokenizedNews(n.news, n.windows, n.tokens, n.truncated) for n in found]
    expected = [p.inference for p in handler.run_inference(fresh, model)]  # type: ignore[union-attr]

    def anew(texts: Sequence[Rows]) -> list[Answer | Exception]:
        raise AssertionError("classified again")

    monkeypatch.setattr(model, "answers", anew)
    assert [p.inference for p in handler.run_inference(found, model)] == expected  # type: ignore


def test_of_another_model_nothing_was_begun(model: ModelCascade) -> None:
    found = begun(model, 3)
    other = OnnxTextClassifier("ag_news_small")
    results = list(other.run_inference(found, other.load_model()))
    assert {p.model_id for p in results} == {Bundle.load("ag_news_small").model_id}  # type: ignore[union-attr]


def test_elsewhere_there_is_nothing_of_it(model: ModelCascade) -> None:
    [news] = begun(model, 1)
    assert pickle.loads(pickle.dumps(news)).begun is None
    coder = RecordCoder()
    found = coder.decode(coder.encode(news))
    assert found.begun is None
    assert found.windows == news.windows


def test_a_process_without_the_model_holds_nothing_back() -> None:
    gc.collect()
    assert Ahead.of("nobody@12345678") is None
    step = TokenizeNews("ag_news_mini")
    step.setup()
    step._model_id = "nobody@12345678"
    step.start_bundle()
    [found] = step.process(item("news"))
    assert found.begun is None
    assert list(step.finish_bundle()) == []


def test_a_bundle_that_failed_leaves_nothing(model: ModelCascade) -> None:
    step = TokenizeNews("ag_news_mini")
    step.setup()
    step.start_bundle()
    assert list(step.process(item("old"), 0, None)) == []
    step.start_bundle()
    assert list(step.process(item("new"), 0, None)) == []
    assert [v.value.news.text for v in step.finish_bundle()] == ["new"]


def test_one_that_fails_is_one_dead_letter(
    model: ModelCascade, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = model.models[0].run
    poison = TokenizeNews("ag_news_mini")
    poison.setup()
    [bad] = poison.process(item("news 7"))

    def run(rows: Sequence[Sequence[int]]) -> list[np.ndarray | Exception]:
        return [ModelError("poison")] if rows[0] == bad.windows[0] else real(rows)

    monkeypatch.setattr(model.models[0], "run", run)
    results = list(OnnxTextClassifier("ag_news_mini").run_inference(begun(model, 20), model))
    assert [i for i, r in enumerate(results) if isinstance(r, DeadLetter)] == [7]


class _Reads(beam.DoFn):
    """Notes each element when it is read."""

    def process(self, element: Any) -> Iterator[Any]:
        for i in range(element):
            SEEN.append(("read", i))
            yield {"title": f"news {i}"}


class _Writes(beam.DoFn):
    """Notes each outcome, and how far reading had got."""

    def process(self, element: CategorizedItem) -> None:
        SEEN.append(("written", int(element.fields["title"].split()[1])))


def test_while_outputs_are_on_their_way_the_model_has_others() -> None:
    count = 400
    with local_pipeline() as pipeline:
        (
            pipeline
            | beam.Create([count], reshuffle=False)
            | beam.ParDo(_Reads())
            | ClassifyNews("ag_news_mini")
        ).categorized | beam.ParDo(_Writes())
    written = [i for what, i in SEEN if what == "written"]
    assert written == list(range(count))
    ahead_of_it = [
        SEEN[:place].count(("read", min(i + HELD_BACK, count - 1)))
        for place, (what, i) in enumerate(SEEN)
        if what == "written"
    ]
    assert all(ahead_of_it), "an output was on its way before the texts after it had been read"


class _Windowed(beam.DoFn):
    def process(
        self,
        element: CategorizedItem,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> None:
        SEEN.append((element.fields["title"], int(timestamp), int(window.start)))


@pytest.mark.parametrize("windows", [FixedWindows(10), SlidingWindows(20, 10)])
def test_each_keeps_its_time_and_windows(windows: Any) -> None:
    times = [3 * i for i in range(150)]
    with local_pipeline() as pipeline:
        (
            pipeline
            | beam.Create([TimestampedValue({"title": f"at {t}"}, t) for t in times])
            | beam.Map(lambda value: value)
            | beam.WindowInto(windows)
            | ClassifyNews("ag_news_mini")
        ).categorized | beam.ParDo(_Windowed())
    sliding = isinstance(windows, SlidingWindows)
    expected = [
        (f"at {t}", t, start)
        for t in times
        for start in ([t // 10 * 10, t // 10 * 10 - 10] if sliding else [t // 10 * 10])
    ]
    assert sorted(SEEN) == sorted(expected)


def test_models_that_are_gone_are_forgotten() -> None:
    loaded = OnnxTextClassifier("ag_news_mini").load_model()
    name = loaded.bundle.model_id
    assert ahead._loaded.get(name) is loaded
    del loaded
    gc.collect()
    assert ahead._loaded.get(name) is None
