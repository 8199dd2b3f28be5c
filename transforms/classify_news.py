"""ClassifyNews: the steps as one transform, to be imported into any Beam pipeline."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference

from models.bundle import Bundle
from models.scores import ScoreSettings
from transforms.classify import Categorize, OnnxTextClassifier
from transforms.dead_letters import SplitOutcomes
from transforms.errors import ConfigurationError
from transforms.parse import TEXT_FIELDS, TIME_FIELDS, ParseNews
from transforms.records import CategorizedItem, DeadLetter, Outcome, Record
from transforms.tokenize import MAX_LENGTH, TokenizeNews


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
        format: What an element's bytes are: `json`, `text` or `csv`.
        text_fields: The fields that make the text; see `ParseNews`.
        id_field: The field that holds the id.
        time_field: The field that holds the time of publication.
        text_clean_up: `disabled`, `inplace`, `inplace_full`, `shrink`, `shrink_full` or `html`.
        columns: The column names of CSV rows that come without.
        delimiter: What stands between the fields of such rows; None is whichever gives a field for
            each column.
        fail_fast: End the pipeline when the first thousand records are all dead letters for one
            reason.
        max_length: The most tokens of a row: 1 to 512.
        long_text: What becomes of a longer text: `truncate` classifies its beginning; `average` and
            `max` classify overlapping windows (at most 64), and take the average of their scores,
            or the maximum for each label.
        activation: `softmax` (one of the labels is right) or `sigmoid` (each for itself); None is
            sigmoid for a multi-label model, softmax for any other.
        threshold: The score from which on a label is among an item's `labels`.
        multi_label: Whether several labels may hold; None goes by the model.
        temperature: What logits are divided by; None is what the model's config.json says, or 1.
        timestamp: The timestamp of the outcomes, which decides about their windows: that of the
            `record` (or, where it has none, of the element), or when an item was `published`. In
            windows by the latter, an item is late if it came to its topic longer than `max_delay`
            of the source after that. Dead letters always have that of the record.

    Raises:
        ConfigurationError: A setting is none of its choices.
        BundleError: The model can't be used.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        format: str = "json",
        text_fields: Sequence[str] = TEXT_FIELDS,
        id_field: str = "id",
        time_field: str = TIME_FIELDS,
        text_clean_up: str = "disabled",
        columns: Sequence[str] | None = None,
        delimiter: str | None = None,
        fail_fast: bool = False,
        max_length: int = MAX_LENGTH,
        long_text: str = "truncate",
        activation: str | None = None,
        threshold: float = 0.5,
        multi_label: bool | None = None,
        temperature: float | None = None,
        timestamp: str = "record",
    ) -> None:
        super().__init__()
        self._bundle = Bundle.load(model)
        self._bundle.verify()
        try:
            settings = ScoreSettings(activation, threshold, multi_label, temperature, long_text)
            of_bundle = settings.of(self._bundle)
        except ValueError as e:
            raise ConfigurationError(str(e)) from None
        self._parse = ParseNews(
            format,
            text_fields,
            id_field,
            time_field,
            text_clean_up,
            columns=columns,
            delimiter=delimiter,
            fail_fast=fail_fast,
        )
        self._tokenize = TokenizeNews(model, max_length, long_text)
        self._classifier = OnnxTextClassifier(model, settings)
        self._categorize = Categorize(of_bundle, timestamp)

    def labels(self) -> tuple[str, ...]:
        """The categories that the model knows (`getClasses` in Spark NLP)."""
        return self._bundle.labels

    def expand(self, news: beam.PCollection[Any]) -> ClassifiedNews:
        outcomes = (
            news
            | "Parse news" >> beam.ParDo(self._parse).with_output_types(Record)
            | "Tokenize news" >> beam.ParDo(self._tokenize).with_output_types(Record)
            | "Run inference" >> RunInference(self._classifier)
            | "Categorize" >> beam.ParDo(self._categorize).with_output_types(Record)
        )
        categorized, dead_letters = outcomes | "Split outcomes" >> SplitOutcomes()
        return ClassifiedNews(categorized, dead_letters, outcomes)
