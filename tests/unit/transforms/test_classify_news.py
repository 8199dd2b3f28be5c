"""ClassifyNews: the whole composite with the default model, on every sample and every poison."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import BeamAssertException, assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, Sessions, TimestampedValue

from models.bundle import Bundle
from models.classifier import TextClassifier
from models.errors import BundleError
from models.locate import PACKAGED
from models.scores import ScoreSettings
from pipeline.demo.poison import POISON
from tests.unit.models.conftest import write_bundle
from tests.unit.running import local_pipeline
from transforms.classify_news import ClassifyNews
from transforms.errors import ConfigurationError
from transforms.records import CategorizedItem, DeadLetter, KafkaPosition, Message, Outcome
from transforms.tally import TALLY

#: A bundle that is no cascade.
SMALL = PACKAGED["ag_news_small"]

SAMPLES = (resources.files("pipeline.demo") / "sample_news.jsonl").read_bytes().splitlines()


def _by_offset(messages: list[Message], expected: dict[int, str]) -> Any:
    """A matcher: every message is exactly one outcome, of the expected kind, bytes intact."""

    def check(outcomes: list[Outcome]) -> None:
        found: Counter[int] = Counter()
        for outcome in outcomes:
            message = outcome.message
            assert message is not None
            assert isinstance(message.source, KafkaPosition)
            offset = message.source.offset
            found[offset] += 1
            kind = "dead_letter" if isinstance(outcome, DeadLetter) else "categorized"
            if kind != expected[offset] or message != messages[offset]:
                raise BeamAssertException(f"{offset} is a {kind}: {outcome!r:.300}")
        if found != Counter(expected.keys()):
            raise BeamAssertException(f"not once each: {found}")

    return check


def test_every_sample_and_every_poison_comes_out_once() -> None:
    values = [(line, None, "categorized") for line in SAMPLES[:60]]
    values += [(p.value, p.key, p.expected) for p in POISON]
    messages = [
        Message(value, key=key, headers=(("n", b"%d" % i),), source=KafkaPosition("news", 0, i))
        for i, (value, key, _) in enumerate(values)
    ]
    expected = {i: kind for i, (_, _, kind) in enumerate(values)}
    with local_pipeline() as p:
        result = p | beam.Create(messages) | ClassifyNews()
        assert_that(result.outcomes, _by_offset(messages, expected), label="outcomes")
        good = {i: kind for i, kind in expected.items() if kind == "categorized"}
        dead = {i: kind for i, kind in expected.items() if kind == "dead_letter"}
        assert_that(result.categorized, _by_offset(messages, good), label="categorized")
        assert_that(result.dead_letters, _by_offset(messages, dead), label="dead letters")
    counts = TALLY.snapshot()
    assert (counts.categorized, counts.dead) == (len(good), len(dead))


def _category(item: CategorizedItem) -> tuple[str, bool]:
    return item.category, item.score > 0.5


def test_it_tells_the_categories_apart() -> None:
    texts = {
        "Striker scores twice as hosts win the cup final on penalties": "Sports",
        "Shares slide after bank reports quarterly loss and cuts profit forecast": "Business",
        "Chip maker unveils faster processor for laptops and open source software": "Sci/Tech",
        "Rebels and government troops clash near the capital as peace talks collapse": "World",
    }
    with local_pipeline() as p:
        result = p | beam.Create(list(texts)) | ClassifyNews(format="text")
        expected = [(category, True) for category in texts.values()]
        assert_that(result.categorized | beam.Map(_category), equal_to(expected))


def test_settings_reach_the_steps() -> None:
    with local_pipeline() as p:
        result = (
            p
            | beam.Create([{"h": "Cup  final " * 50, "uid": 7, "no": "x"}])
            | ClassifyNews(
                text_fields=["h"],
                id_field="uid",
                text_clean_up="shrink",
                max_length=16,
                activation="sigmoid",
                threshold=0.0,
                multi_label=True,
            )
        )
        found = result.categorized | beam.Map(
            lambda item: (item.id, item.tokens, item.truncated, len(item.labels))
        )
        assert_that(found, equal_to([("7", 16, True, 4)]))


def test_long_texts_are_classified_whole() -> None:
    sport = "Quarterback throws four touchdowns as hosts win. "
    text = sport * 2 + "Shares slide after bank reports quarterly loss. " * 30
    for long_text, expected in (
        ("truncate", ("Sports", 24, True)),
        ("average", ("Business", len(Bundle.load().tokenizer().encode(text.strip()).ids), False)),
    ):
        transform = ClassifyNews(format="text", max_length=24, long_text=long_text)
        assert transform.labels() == ("World", "Sports", "Business", "Sci/Tech")
        with local_pipeline() as p:
            result = p | beam.Create([text.strip()]) | transform
            found = result.categorized | beam.Map(lambda i: (i.category, i.tokens, i.truncated))
            assert_that(found, equal_to([expected]))


#: A text of 40 tokens, the special ones not counted: sport, business, sport.
IN_TURN = "ball " * 6 + "bank " * 20 + "ball " * 14


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (14, True)),
        ({"max_length": 16}, (16, True)),
        ({"max_windows": 3}, (20, True)),
        ({"window_tokens": 5, "max_windows": 3}, (11, True)),
        ({"long_text": "average"}, (42, False)),
        ({"scores": ScoreSettings(max_windows=4)}, (26, True)),
        ({"scores": ScoreSettings(long_text="max"), "max_windows": 3}, (20, True)),
        ({"max_length": 16, "long_text": "truncate"}, (16, True)),
    ],
)
def test_long_texts_go_by_the_bundle(
    tmp_path: Path, given: dict[str, Any], expected: tuple[int, bool]
) -> None:
    says = {"long_text": "max", "max_length": 8, "max_windows": 2, "temperature": 20}
    folder = write_bundle(tmp_path / "tiny", config=says)
    # As it is classified here.
    asked = dataclasses.asdict(given["scores"]) if "scores" in given else {}
    asked |= {name: value for name, value in given.items() if name != "scores"}
    predicted = TextClassifier.load(folder, **asked).predict(IN_TURN.strip())
    assert (predicted.tokens, predicted.truncated) == expected
    with local_pipeline() as p:
        result = p | beam.Create([IN_TURN.strip()]) | ClassifyNews(folder, format="text", **given)
        found = result.categorized | beam.Map(lambda i: (i.scores, i.tokens, i.truncated))
        assert_that(found, equal_to([(predicted.scores, *expected)]))


def test_temperature_and_labels_go_by_the_bundle(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SMALL, tmp_path / "several"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"temperature": 1e6, "problem_type": "multi_label_classification"}
    (folder / "config.json").write_text(json.dumps(config))
    with local_pipeline() as p:
        result = p | beam.Create(["Cup final"]) | ClassifyNews(folder, format="text", threshold=0.4)
        # At such a temperature nothing is sure, and the sigmoid of each label is a half.
        found = result.categorized | beam.Map(lambda i: (round(i.score, 2), len(i.labels)))
        assert_that(found, equal_to([(0.5, 4)]))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"format": "xml"}, "xml"),
        ({"text_clean_up": "wash"}, "wash"),
        ({"max_length": 0}, "max_length 0"),
        ({"max_length": 513}, "max_length 513"),
        ({"activation": "relu"}, "relu"),
        ({"long_text": "cut"}, "'cut': choose one of truncate, average, max"),
        ({"max_windows": 0}, "max_windows 0: choose 1 to 64 windows"),
        ({"max_length": 8, "max_windows": 2}, "max_windows 2: goes with long_text average or max"),
        ({"temperature": 0}, "temperature 0"),
        ({"threshold": 1.5}, "1.5"),
        ({"text_fields": []}, "text_fields"),
    ],
)
def test_a_setting_that_cannot_work_is_an_error_at_once(
    settings: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        ClassifyNews(**settings)


@pytest.mark.parametrize("name", ["news", "scores"])
def test_settings_of_another_class_are_named(name: str) -> None:
    given: dict[str, Any] = {name: {"text_fields": "title"}}
    with pytest.raises(
        TypeError, match=r"is no (News|Score)Settings: give .*, or its options by name"
    ):
        ClassifyNews(**given)


def test_a_model_that_cannot_work_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere"):
        ClassifyNews(tmp_path / "nowhere")


# ---- windows ---------------------------------------------------------------------------------------


class _Where(beam.DoFn):
    """The window of each outcome: when it begins, and what kind of outcome it is."""

    def process(self, element: Outcome, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        yield type(element).__name__, float(window.start)


DAY = 86_400
TITLE = {"title": "Stocks rally"}


@pytest.mark.parametrize("windows", [FixedWindows(DAY), Sessions(DAY // 2)])
def test_elements_made_in_memory_stay_in_their_windows(windows: Any) -> None:
    elements = [
        TimestampedValue(TITLE, 0),
        TimestampedValue(TITLE, 10 * DAY),
        TimestampedValue({"id": "no text"}, 20 * DAY),
    ]
    with local_pipeline() as p:
        result = p | beam.Create(elements) | beam.WindowInto(windows) | ClassifyNews()
        categorized = result.categorized | "Items" >> beam.ParDo(_Where())
        letters = result.dead_letters | "Letters" >> beam.ParDo(_Where())
        assert_that(categorized, equal_to([("CategorizedItem", 0), ("CategorizedItem", 10 * DAY)]))
        assert_that(letters, equal_to([("DeadLetter", 20 * DAY)]), label="letters")


PUBLISHED = {"title": "Stocks rally", "published": "1970-01-06T10:00:00+02:00"}


@pytest.mark.parametrize(("timestamp", "start"), [("record", 9 * DAY), ("published", 5 * DAY)])
def test_windows_of_outcomes_are_by_record_or_by_publication(timestamp: str, start: int) -> None:
    message = Message(json.dumps(PUBLISHED).encode(), timestamp=(9 * DAY + 5) * 1000)
    broken = Message(b"{", timestamp=(9 * DAY + 5) * 1000)
    with local_pipeline() as p:
        result = p | beam.Create([message, broken]) | ClassifyNews(timestamp=timestamp)
        windows = FixedWindows(DAY)
        items = result.categorized | "Window items" >> beam.WindowInto(windows)
        letters = result.dead_letters | "Window letters" >> beam.WindowInto(windows)
        assert_that(items | "Items" >> beam.ParDo(_Where()), equal_to([("CategorizedItem", start)]))
        found = letters | "Letters" >> beam.ParDo(_Where())
        assert_that(found, equal_to([("DeadLetter", 9 * DAY)]), label="letters")


def test_a_timestamp_that_there_is_not() -> None:
    with pytest.raises(ConfigurationError, match="timestamp='read' is unknown: give record or"):
        ClassifyNews(timestamp="read")


def test_building_a_pipeline_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    beam.Pipeline() | beam.Create([{"title": "Vote"}]) | ClassifyNews("ag_news_mini")
    assert not [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
