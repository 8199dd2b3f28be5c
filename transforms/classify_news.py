"""ClassifyNews: the steps as one transform, to be imported into any Beam pipeline."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference

from models.bundle import Bundle
from models.scores import ScoreSettings
from models.settings import merged
from models.verify import verify
from transforms.classify import Categorize, OnnxTextClassifier
from transforms.dead_letters import SplitOutcomes
from transforms.errors import ConfigurationError
from transforms.news_settings import NewsSettings
from transforms.parse import ParseNews
from transforms.records import CategorizedItem, DeadLetter, Outcome, Record
from transforms.result_cache import CacheSettings
from transforms.tokenize import TokenizeNews


class ClassifiedNews(NamedTuple):
    """What classifying news gives.

    Attributes:
        categorized: The categorized items.
        dead_letters: What could not be processed, whole, with the reason.
        outcomes: Both in one stream, for sinks that write them together.
    """

    categorized: beam.PCollection[CategorizedItem]
    dead_letters: beam.PCollection[DeadLetter]
    outcomes: beam.PCollection[Outcome]


class ClassifyNews(beam.PTransform):
    """Classifies news: every element comes out as exactly one categorized item or dead letter.

    Elements are `Message`s of a source, or bytes, strings or dicts. The model is opened once when the
    pipeline is built, so that a broken one is an error there and not in a worker.

    Args:
        model: Folder of the model bundle; None is the default one.
        news: The form of an element's bytes, and which fields are text, id and time.
        scores: How the model's logits become scores, and what becomes of long texts.
        max_length: The most tokens of a row, 1 to 512; None goes by the model. Given without
            `long_text`, texts are cut off there: see `models.reading`.
        threads: Threads of the model in each process; None for as many as cores, shared by
            `processes`.
        processes: How many processes a host has that run this; 0 is one for each core.
        timestamp: The timestamp of the outcomes, which decides about their windows: that of the
            `record` (or, where it has none, of the element), or when an item was `published`. In
            windows by the latter, an item is late if it came to its topic longer than `max_delay`
            of the source after that. Dead letters always have that of the record.
        result_cache: How many results are kept in each process, for texts that come again; 0 is none.
        **given: Options of `NewsSettings` and `ScoreSettings` by name, such as `text_fields` and
            `threshold`, in place of those in `news` and `scores`.

    Raises:
        ConfigurationError: A setting is none of its choices.
        BundleError: The model can't be used.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        news: NewsSettings | None = None,
        scores: ScoreSettings | None = None,
        max_length: int | None = None,
        threads: int | None = None,
        processes: int = 1,
        timestamp: str = "record",
        result_cache: int = 0,
        **given: Any,
    ) -> None:
        super().__init__()
        self._bundle = Bundle.load(model)
        verify(self._bundle)
        of_news, of_scores = _apart(given)
        self._parse = ParseNews(news, **of_news)
        try:
            settings = merged(ScoreSettings, scores, of_scores)
            of_bundle = settings.of(self._bundle, max_length)
            cache = CacheSettings(result_cache)
        except ValueError as e:
            raise ConfigurationError(str(e)) from None
        self._tokenize = TokenizeNews(
            model,
            max_length,
            settings.long_text,
            settings.window_tokens,
            settings.max_windows,
            cache.result_cache,
        )
        self._classifier = OnnxTextClassifier(model, settings, threads, processes)
        self._of_bundle, self._timestamp = of_bundle, timestamp
        Categorize(of_bundle, timestamp)  # a wrong one is an error here

    def labels(self) -> tuple[str, ...]:
        """The categories that the model knows (`getClasses` in Spark NLP)."""
        return self._bundle.labels

    def expand(self, news: beam.PCollection[Any]) -> ClassifiedNews:
        categorize = Categorize(self._of_bundle, self._timestamp, news.windowing.windowfn)
        outcomes = (
            news
            | "Parse news" >> beam.ParDo(self._parse).with_output_types(Record)
            | "Tokenize news" >> beam.ParDo(self._tokenize).with_output_types(Record)
            | "Run inference" >> RunInference(self._classifier)
            | "Categorize" >> beam.ParDo(categorize).with_output_types(Record)
        )
        categorized, dead_letters = outcomes | "Split outcomes" >> SplitOutcomes()
        return ClassifiedNews(categorized, dead_letters, outcomes)


def _apart(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings that were given by name, by the class that they are of."""
    of_scores = {f.name for f in dataclasses.fields(ScoreSettings)}
    known = of_scores | {f.name for f in dataclasses.fields(NewsSettings)}
    for name in given:
        if name not in known:
            raise TypeError(f"ClassifyNews has no argument {name!r}: it takes {sorted(known)}")
    return (
        {name: value for name, value in given.items() if name not in of_scores},
        {name: value for name, value in given.items() if name in of_scores},
    )
