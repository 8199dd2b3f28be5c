"""Classifying: scores by label, one dead letter for one bad row, the model's name on each record."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

import apache_beam as beam
import msgspec
import pytest
from apache_beam.internal import pickler
from apache_beam.ml.inference.base import PredictionResult, RunInference
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.utils.timestamp import Timestamp

from models.bundle import Bundle
from models.errors import ModelError
from models.scores import ScoreSettings, score
from tests.unit.fakes import FakeModel
from tests.unit.running import local_pipeline
from transforms.classify import Categorize, OnnxTextClassifier
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    KafkaPosition,
    Message,
    NewsItem,
    TokenizedNews,
    dead_letter,
)
from transforms.tally import TALLY
from transforms.tokenize import TokenizeNews

THEN = datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)
LABELS = ("World", "Sports", "Business", "Sci/Tech")


def tokenized(row: Sequence[int], offset: int = 0) -> TokenizedNews:
    message = Message(
        b"{}", timestamp=1_600_000_000_000 + offset, source=KafkaPosition("news", 0, offset)
    )
    item = NewsItem(message, f"n-{offset}", "text", {"title": "text"}, THEN)
    return TokenizedNews(item, (tuple(row),), len(row), truncated=False)


def favour(row: Sequence[int]) -> list[float]:
    """Logits that favour the label of the row's first id; a row that starts with 9 is poison."""
    if row[0] == 9:
        raise ModelError("poison row")
    return [4.0 if i == row[0] else 0.0 for i in range(4)]


def run(
    batch: Sequence[TokenizedNews | DeadLetter], settings: ScoreSettings | None = None
) -> list[PredictionResult | DeadLetter]:
    model = FakeModel(favour)
    handler = OnnxTextClassifier(settings=settings)
    return list(handler.run_inference(batch, model))  # type: ignore[arg-type]


def test_each_row_gets_the_scores_of_all_labels() -> None:
    [first, second] = run([tokenized([2]), tokenized([0], 1)])
    assert isinstance(first, PredictionResult)
    assert isinstance(second, PredictionResult)
    assert tuple(first.inference) == LABELS
    assert max(first.inference, key=first.inference.get) == "Business"
    assert max(second.inference, key=second.inference.get) == "World"
    assert sum(first.inference.values()) == pytest.approx(1)
    assert first.example == tokenized([2])
    assert first.model_id == Bundle.load("ag_news_small").model_id


def test_a_poison_row_costs_one_dead_letter() -> None:
    results = run([tokenized([1]), tokenized([9], 1), tokenized([3], 2)])
    assert [type(r) for r in results] == [PredictionResult, DeadLetter, PredictionResult]
    letter = results[1]
    assert isinstance(letter, DeadLetter)
    assert letter.message == tokenized([9], 1).news.message
    assert (letter.stage, letter.error) == ("OnnxTextClassifier", "poison row")
    assert letter.model == Bundle.load("ag_news_small").model_id
    assert TALLY.snapshot().dead_letters == {"OnnxTextClassifier": 1}


def windowed(rows: Sequence[Sequence[int]], offset: int = 0) -> TokenizedNews:
    return msgspec.structs.replace(
        tokenized([0], offset), windows=tuple(map(tuple, rows)), tokens=9
    )


def test_windows_are_joined_again() -> None:
    letter = dead_letter(Message(b"x"), "ParseNews", ValueError("no"))
    batch = [tokenized([2]), windowed([[0], [1], [1]], 1), letter, tokenized([3], 2)]
    one, zero = run([tokenized([1]), tokenized([0])])
    for long_text in ("average", "max"):
        settings = ScoreSettings(long_text=long_text)
        first, joined, passed, last = run(batch, settings)
        assert [first, last] == run([batch[0], batch[3]])
        assert passed == letter
        assert isinstance(joined, PredictionResult)
        assert isinstance(one, PredictionResult)
        assert isinstance(zero, PredictionResult)
        for label, value in joined.inference.items():
            a, b = zero.inference[label], one.inference[label]
            expected = max(a, b) if long_text == "max" else (a + 2 * b) / 3
            assert value == pytest.approx(expected)
        item = categorized(joined)
        assert (item.category, item.tokens) == ("World" if long_text == "max" else "Sports", 9)


def test_a_poison_window_costs_one_dead_letter() -> None:
    batch = [tokenized([1]), windowed([[0], [9], [9], [2]], 1), windowed([[3], [3]], 2)]
    first, letter, last = run(batch, ScoreSettings(long_text="average"))
    assert [first, last] == run([batch[0], batch[2]])
    assert isinstance(letter, DeadLetter)
    assert (letter.message, letter.error) == (batch[1].news.message, "poison row")
    assert TALLY.snapshot().dead_letters == {"OnnxTextClassifier": 1}


def test_scores_are_the_bundles_way() -> None:
    """Of the bundle in use: an update may bring another."""
    handler, model = OnnxTextClassifier(), FakeModel(favour)
    [plain] = handler.run_inference([tokenized([1])], model)  # type: ignore[arg-type]
    model.bundle = dataclasses.replace(model.bundle, temperature=3.0)
    [warm] = handler.run_inference([tokenized([1])], model)  # type: ignore[arg-type]
    assert warm.inference == dict(
        zip(LABELS, score(favour([1]), ScoreSettings(temperature=3))[1], strict=True)
    )
    assert warm.inference["Sports"] < plain.inference["Sports"]
    model.bundle = dataclasses.replace(model.bundle, temperature=1.0, multi_label=True)
    [several] = handler.run_inference([tokenized([1])], model)  # type: ignore[arg-type]
    assert several.inference["World"] == pytest.approx(0.5)


def test_dead_letters_pass_in_their_place() -> None:
    letter = dead_letter(Message(b"x"), "ParseNews", ValueError("no"))
    results = run([letter, tokenized([1]), letter])
    assert [type(r) for r in results] == [DeadLetter, PredictionResult, DeadLetter]
    assert run([letter, letter]) == [letter, letter]
    assert TALLY.snapshot().dead == 0


def test_the_size_of_a_batch_is_that_of_its_ids() -> None:
    handler = OnnxTextClassifier()
    letter = dead_letter(Message(b"x" * 1000), "ParseNews", ValueError("no"))
    assert handler.get_num_bytes([tokenized([1, 2, 3]), letter, tokenized([1])]) == 4 * 8


def test_the_handler_can_be_shipped() -> None:
    handler = pickler.loads(pickler.dumps(OnnxTextClassifier(settings=ScoreSettings("sigmoid"))))
    [result] = handler.run_inference([tokenized([1])], FakeModel(favour))
    assert result.inference["World"] == pytest.approx(0.5)


def test_the_same_row_gets_the_same_scores_whoever_shares_its_batch() -> None:
    handler = OnnxTextClassifier()
    model = handler.load_model()
    step = TokenizeNews()
    step.setup()
    texts = ["Cup final", "Shares rise on profit. " * 30, "Chip maker unveils processor", "Vote"]
    rows = [
        next(iter(step.process(NewsItem(Message(b"{}"), str(i), text, {}, THEN))))
        for i, text in enumerate(texts)
    ]
    together = [r.inference for r in handler.run_inference(rows, model)]  # type: ignore
    alone = [next(iter(handler.run_inference([row], model))).inference for row in rows]  # type: ignore
    assert together == alone


# ---- Categorize ------------------------------------------------------------------------------------


def prediction(scores: dict[str, float], row: TokenizedNews | None = None) -> PredictionResult:
    return PredictionResult(row or tokenized([1, 2, 3], 5), scores, "m@1")


def categorized(result: PredictionResult, settings: ScoreSettings | None = None) -> CategorizedItem:
    step = Categorize(settings)
    step.start_bundle()
    [stamped] = step.process(result)
    step.finish_bundle()
    assert isinstance(stamped.value, CategorizedItem), stamped.value
    return stamped.value


def test_the_category_is_the_label_with_the_highest_score() -> None:
    before = datetime.datetime.now(datetime.UTC)
    item = categorized(prediction({"World": 0.2, "Sports": 0.7, "Business": 0.1}))
    assert (item.category, item.score, item.labels) == ("Sports", 0.7, ("Sports",))
    assert item.scores == {"World": 0.2, "Sports": 0.7, "Business": 0.1}
    assert (item.id, item.tokens, item.truncated, item.model) == ("n-5", 3, False, "m@1")
    assert item.source == KafkaPosition("news", 0, 5)
    assert item.fields == {"title": "text"}
    assert item.event_time == THEN
    assert before <= item.processed_time <= datetime.datetime.now(datetime.UTC)
    assert item.message == tokenized([1], 5).news.message
    assert TALLY.snapshot().categories == {"Sports": 1}


def test_labels_above_the_threshold() -> None:
    scores = {"World": 0.6, "Sports": 0.9, "Business": 0.1}
    multi = ScoreSettings("sigmoid", 0.5, multi_label=True)
    assert categorized(prediction(scores), multi).labels == ("Sports", "World")
    assert categorized(prediction(scores), ScoreSettings(threshold=0.95)).labels == ()


def test_each_outcome_is_stamped_with_its_own_time() -> None:
    letter = dead_letter(Message(b"x", timestamp=7_000), "ParseNews", ValueError("no"))
    [good] = Categorize().process(prediction({"World": 1.0}))
    [dead] = Categorize().process(letter)
    assert good.timestamp == Timestamp(micros=1_600_000_000_005_000)
    assert dead.timestamp == Timestamp(7)
    assert dead.value == letter


def test_a_prediction_that_makes_no_sense_is_a_dead_letter() -> None:
    [stamped] = Categorize().process(prediction({}))
    assert isinstance(stamped.value, DeadLetter)
    assert stamped.value.stage == "Categorize"
    assert stamped.value.message == tokenized([1], 5).news.message


class _Handler(OnnxTextClassifier):
    def load_model(self) -> FakeModel:  # type: ignore[override]
        return FakeModel(favour)


def _gist(outcome: CategorizedItem | DeadLetter) -> str:
    return outcome.category if isinstance(outcome, CategorizedItem) else outcome.stage


def test_under_run_inference() -> None:
    letter = dead_letter(Message(b"x"), "ParseNews", ValueError("no"))
    batch = [tokenized([i % 4], i) for i in range(70)] + [tokenized([9], 70), letter]
    with local_pipeline() as p:
        out = p | beam.Create(batch) | RunInference(_Handler()) | beam.ParDo(Categorize())
        expected = [LABELS[i % 4] for i in range(70)] + ["_Handler", "ParseNews"]
        assert_that(out | beam.Map(_gist), equal_to(expected))
