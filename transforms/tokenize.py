"""TokenizeNews: from the text of a news item to the token ids of a model."""

from __future__ import annotations

import os
from typing import Any

from models.bundle import Bundle
from models.tokenize import TextTokenizer, check_max_length
from transforms.dead_letters import Step
from transforms.errors import ConfigurationError
from transforms.records import TokenizedNews

#: The most tokens of a row by default: what Spark NLP's annotator takes.
MAX_LENGTH = 512


class TokenizeNews(Step):
    """Tokenizes news items with the tokenizer of a model bundle.

    Args:
        model: The bundle's folder; None is the default bundle.
        max_length: The most tokens of a row, special tokens included: 1 to 512. What a text has
            more is cut off, and the record says so. Shorter is faster: cost grows with length.

    Raises:
        ConfigurationError: `max_length` is out of range.
        BundleError: The bundle can't be read.
    """

    def __init__(
        self, model: str | os.PathLike[str] | None = None, max_length: int = MAX_LENGTH
    ) -> None:
        super().__init__()
        try:
            check_max_length(max_length, Bundle.load(model))
        except ValueError as e:
            raise ConfigurationError(str(e)) from None
        self._model = None if model is None else os.fspath(model)
        self._max_length = max_length

    def setup(self) -> None:
        self._tokenizer = TextTokenizer(Bundle.load(self._model), self._max_length)

    def message_of(self, record: Any) -> Any:
        return record.message

    def apply(self, record: Any) -> TokenizedNews:
        [(input_ids, truncated)] = self._tokenizer([record.text])
        return TokenizedNews(record, input_ids, truncated)
