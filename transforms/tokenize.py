"""TokenizeNews: from the text of a news item to the token ids of a model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from models.bundle import Bundle
from models.reading import Reading
from models.tokenize import TextTokenizer
from transforms.ahead import Ahead
from transforms.dead_letters import Step
from transforms.errors import ConfigurationError
from transforms.records import Record, TokenizedNews
from transforms.result_cache import Known, ResultCache
from transforms.tally import TALLY


class TokenizeNews(Step):
    """Tokenizes news items with the tokenizer of a model bundle.

    Where RunInference has the model in this process, it begins to work on each item here, and items are
    held back for a while: see `transforms.ahead`.

    Args:
        model: The bundle's folder; None is the default bundle.
        max_length: The most tokens of a row, special tokens included: 1 to 512. Shorter is faster:
            cost grows with length.
        long_text: What becomes of a longer text: `truncate` cuts off the rest, and the record says
            so; `average` and `max` cut it into windows, each of them a row.
        window_tokens: The tokens of a window.
        max_windows: The most windows of a text, 1 to 64; the record says whether it had more.
        result_cache: How many results of texts are kept in each process; 0 is none.

    None of the four before leaves it to the bundle, the one that a worker finds: see `Reading.of`.

    Raises:
        ConfigurationError: One of them is none of its choices, or they do not go together.
        BundleError: The bundle can't be read.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        max_length: int | None = None,
        long_text: str | None = None,
        window_tokens: int | None = None,
        max_windows: int | None = None,
        result_cache: int = 0,
    ) -> None:
        super().__init__()
        try:
            Reading.of(Bundle.load(model), max_length, long_text, window_tokens, max_windows)
        except ValueError as e:
            raise ConfigurationError(str(e)) from None
        self._model = None if model is None else os.fspath(model)
        self._given = max_length, long_text, window_tokens, max_windows
        self._cache_size = result_cache
        self._cache: ResultCache | None = None
        self._ahead: Ahead | None = None
        self._looked_up = self._hits = 0

    def setup(self) -> None:
        bundle = Bundle.load(self._model)
        self._model_id = bundle.model_id
        self._tokenizer = TextTokenizer(bundle, *self._given)
        if self._cache_size:
            self._cache = ResultCache.of_process(
                self._cache_size, bundle.model_id, self._tokenizer.reading
            )

    def start_bundle(self) -> None:
        self._ahead = Ahead.of(self._model_id)
        self._looked_up = self._hits = 0  # what is left is of a bundle that has failed

    def message_of(self, record: Any) -> Any:
        return record.message

    def apply(self, record: Any) -> TokenizedNews:
        if self._ahead is None:
            [text] = self._tokenizer([record.text])
            return TokenizedNews(record, text.windows, text.tokens, text.truncated)
        known = self._known(record.text, self._ahead)
        text = known.text
        return TokenizedNews(record, text.windows, text.tokens, text.truncated, known.begun)

    def _known(self, text: str, ahead: Ahead) -> Known:
        """What is known of a text that was classified before, or is being classified from now on."""
        known = None
        if self._cache is not None:
            known = self._cache.get(text)
            self._looked_up += 1
            self._hits += known is not None
        if known is None:
            [tokenized] = self._tokenizer([text])
            known = Known(tokenized, ahead.begin(tokenized.windows))
            if self._cache is not None:
                self._cache.put(text, known)
        return known

    def process(
        self,
        element: Record,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        outcomes = super().process(element)
        if self._ahead is None:
            yield from outcomes
            return
        for outcome in outcomes:
            yield from self._ahead.hold(WindowedValue(outcome, timestamp, (window,)))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._ahead is not None:
            yield from self._ahead.release()
            self._ahead = None
        if self._looked_up:
            TALLY.looked_up(self._looked_up, self._hits)
            self._looked_up = self._hits = 0
