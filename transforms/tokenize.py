"""TokenizeNews: from the text of a news item to the token ids of a model."""

from __future__ import annotations

import os
from typing import Any

from models.bundle import Bundle
from models.reading import Reading
from models.tokenize import TextTokenizer
from transforms.dead_letters import Step
from transforms.errors import ConfigurationError
from transforms.records import TokenizedNews


class TokenizeNews(Step):
    """Tokenizes news items with the tokenizer of a model bundle.

    Args:
        model: The bundle's folder; None is the default bundle.
        max_length: The most tokens of a row, special tokens included: 1 to 512. Shorter is faster:
            cost grows with length.
        long_text: What becomes of a longer text: `truncate` cuts off the rest, and the record says
            so; `average` and `max` cut it into windows, each of them a row.
        window_tokens: The tokens of a window.
        max_windows: The most windows of a text, 1 to 64; the record says whether it had more.

    None of these four leaves it to the bundle, the one that a worker finds: see `Reading.of`.

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
    ) -> None:
        super().__init__()
        try:
            Reading.of(Bundle.load(model), max_length, long_text, window_tokens, max_windows)
        except ValueError as e:
            raise ConfigurationError(str(e)) from None
        self._model = None if model is None else os.fspath(model)
        self._given = max_length, long_text, window_tokens, max_windows

    def setup(self) -> None:
        self._tokenizer = TextTokenizer(Bundle.load(self._model), *self._given)

    def message_of(self, record: Any) -> Any:
        return record.message

    def apply(self, record: Any) -> TokenizedNews:
        [(windows, tokens, truncated, _)] = self._tokenizer([record.text])
        return TokenizedNews(record, windows, tokens, truncated)
