"""TokenizeNews: from the text of a news item to the token ids of a model."""

from __future__ import annotations

import os
from typing import Any

from models.bundle import Bundle
from models.long_text import check_long_text
from models.model_settings import MAX_LENGTH
from models.tokenize import TextTokenizer, check_max_length
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
            so; `average` and `max` cut it into overlapping windows, each of them a row.

    Raises:
        ConfigurationError: `max_length` is out of range, or `long_text` none of its choices.
        BundleError: The bundle can't be read.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        max_length: int = MAX_LENGTH,
        long_text: str = "truncate",
    ) -> None:
        super().__init__()
        try:
            check_long_text(long_text)
            check_max_length(max_length, Bundle.load(model))
        except ValueError as e:
            raise ConfigurationError(str(e)) from None
        self._model = None if model is None else os.fspath(model)
        self._max_length = max_length
        self._long_text = long_text

    def setup(self) -> None:
        self._tokenizer = TextTokenizer(Bundle.load(self._model), self._max_length, self._long_text)

    def message_of(self, record: Any) -> Any:
        return record.message

    def apply(self, record: Any) -> TokenizedNews:
        [(windows, tokens, truncated)] = self._tokenizer([record.text])
        return TokenizedNews(record, windows, tokens, truncated)
