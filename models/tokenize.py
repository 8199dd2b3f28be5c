"""Turns texts into the token ids that a bundle's model takes."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from typing import Any

from tokenizers import Encoding, Tokenizer

from models.bundle import Bundle

#: The longest row that can be asked for, in tokens: what Spark NLP's annotator takes, too.
MAX_LENGTH = 512
#: Longer texts, in characters for each token of the limit, are shortened first.
CHARACTERS_PER_TOKEN = 8
#: Characters before a cut that are not trusted; see `TextTokenizer`.
MARGIN = 64

# Pre-tokenizers that read from left to right and look at most a few characters ahead, and
# normalizers that look at a character and its neighbours.
_LOCAL_PRE_TOKENIZERS = {
    "BertPreTokenizer",
    "ByteLevel",
    "Digits",
    "Metaspace",
    "Punctuation",
    "Whitespace",
    "WhitespaceSplit",
}
_LOCAL_NORMALIZERS = {
    "BertNormalizer",
    "Lowercase",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Precompiled",
    "StripAccents",
}
_SURROGATE = re.compile("[\ud800-\udfff]")


class TextTokenizer:
    """Tokenizes texts for a bundle's model, cut to a maximum length.

    A text of megabytes costs no more than its beginning does: it is shortened before it is
    tokenized, which cannot change the result. Pre-tokenizers split a text into words from left to
    right, looking at most a few characters ahead, and no token crosses a word. So cutting the text
    can only change the words that reach into the last few characters before the cut. Where at least
    as many tokens as are kept lie in words that end `MARGIN` characters before the cut, they are
    the first tokens of the whole text, too; otherwise four times as much is taken, up to the whole
    text. Tokenizers with parts of which this is not known get the whole text always.

    Args:
        bundle: The bundle.
        max_length: The most tokens of a row, special tokens included: 1 to 512. A model that takes
            fewer gets as many as it takes.

    Raises:
        ValueError: `max_length` is out of range.
        BundleError: The bundle's tokenizer cannot be read.
    """

    def __init__(self, bundle: Bundle, max_length: int = MAX_LENGTH) -> None:
        self.max_length = check_max_length(max_length, bundle)
        self._bundle = bundle
        self._tokenizer = bundle.tokenizer()
        self._special = tuple(self._tokenizer.encode("").ids)
        self._bound: int | None = None
        if _is_local(self._tokenizer):
            self._bound = self.max_length * CHARACTERS_PER_TOKEN + MARGIN
        # A limit that only special tokens fit into is more than the library can do: leave it room
        # for one token, and cut the row afterwards.
        self._tokenizer.enable_truncation(max(self.max_length, len(self._special) + 1))

    @functools.cached_property
    def _whole(self) -> Tokenizer:
        """A tokenizer without a limit, for the texts that may have to be shortened."""
        return self._bundle.tokenizer()

    def __call__(self, texts: Sequence[str]) -> list[tuple[tuple[int, ...], bool]]:
        """Tokenizes texts.

        Args:
            texts: The texts. A lone surrogate, which is no character, counts as U+FFFD.

        Returns:
            For each text its token ids, special tokens included, and whether it had more of them
            than `max_length`. The closing special token is kept; a limit that the special tokens
            do not fit into gives the first of them.
        """
        rows = []
        for encoding in self._encode([self._shorten(text) for text in texts]):
            ids = encoding.ids
            if len(ids) < self.max_length:
                rows.append((tuple(ids), False))
            elif len(ids) > self.max_length:
                rows.append((self._special[: self.max_length], True))
            elif self.max_length == len(self._special):
                rows.append((tuple(ids), False))
            else:
                rows.append((tuple(ids), bool(encoding.overflowing)))
        return rows

    def words(self, text: str) -> list[tuple[int, int, int]]:
        """The words of a text that are classified.

        Returns:
            For each word where it begins and ends in the text (end exclusive), and how many tokens
            it is made of. Words beyond `max_length` are left out.
        """
        text = _characters(text)
        encoding = self._tokenizer.encode(self._shorten(text))
        words: list[tuple[int, int, int]] = []
        last = None
        if self.max_length <= len(self._special):
            return words
        for word, (begin, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
            if word is None:
                continue
            if word == last:
                first, _, tokens = words.pop()
                words.append((first, end, tokens + 1))
            else:
                words.append((begin, end, 1))
            last = word
        return words

    def _encode(self, texts: list[str]) -> list[Encoding]:
        try:
            return self._tokenizer.encode_batch_fast(texts)
        except (TypeError, UnicodeError):
            return self._tokenizer.encode_batch_fast([_characters(text) for text in texts])

    def _shorten(self, text: str) -> str:
        """A beginning of the text with the same first tokens; see the class."""
        bound = self._bound
        if bound is None:
            return text
        while len(text) > bound:
            beginning = _characters(text[:bound])
            encoding = self._whole.encode(beginning, add_special_tokens=False)
            if _trusted(encoding, len(beginning) - MARGIN) >= self.max_length:
                return beginning
            bound *= 4
        return text


def check_max_length(max_length: int, bundle: Bundle) -> int:
    """The most tokens of a row where `max_length` is asked for: the model may take fewer.

    Raises:
        ValueError: It is out of range; the message names the range.
    """
    if not 1 <= max_length <= MAX_LENGTH:
        raise ValueError(
            f"max_length {max_length}: choose 1 to {MAX_LENGTH} tokens (special tokens included)"
        )
    return min(max_length, bundle.max_length)


def _trusted(encoding: Encoding, end: int) -> int:
    """How many tokens lie in words that end at or before a place."""
    words, offsets = encoding.word_ids, encoding.offsets
    count = len(words)
    # Offsets grow from left to right: drop from the end, then the rest of the word cut through.
    while count and offsets[count - 1][1] > end:
        count -= 1
    if count < len(words):
        cut = words[count]
        while count and words[count - 1] == cut:
            count -= 1
    return count


def _is_local(tokenizer: Tokenizer) -> bool:
    """Whether every part of the tokenizer is known to look only a few characters ahead."""
    parts: dict[str, Any] = json.loads(tokenizer.to_str())
    pre_tokenizers = _types(parts["pre_tokenizer"])
    return (
        bool(pre_tokenizers)
        and _LOCAL_PRE_TOKENIZERS.issuperset(pre_tokenizers)
        and _LOCAL_NORMALIZERS.issuperset(_types(parts["normalizer"]))
    )


def _types(part: dict[str, Any] | None) -> list[str]:
    """The types of a part, which may be a sequence of parts."""
    if part is None:
        return []
    inner = part.get("pretokenizers") or part.get("normalizers")
    return [t for p in inner for t in _types(p)] if inner else [part["type"]]


def _characters(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD; as long as before."""
    return _SURROGATE.sub("\ufffd", text)
