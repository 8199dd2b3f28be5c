"""Turns texts into the token ids that a bundle's model takes."""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Container, Sequence
from typing import Any, NamedTuple

from tokenizers import Encoding, Tokenizer

from models.bundle import Bundle
from models.long_text import most_tokens, window_starts
from models.reading import Reading

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


class TokenizedText(NamedTuple):
    """A text as rows for the model.

    Attributes:
        windows: Token ids, special tokens included, of each window; one, unless the text is longer
            than the maximum length and such texts are classified in windows.
        tokens: How many tokens of the text the windows hold, special tokens included; those that
            windows have in common count once.
        truncated: Whether the text had more tokens than that.
        length: How many tokens the text has, special tokens included; where it has more than
            `TextTokenizer.limit`, one more than that.
    """

    windows: tuple[tuple[int, ...], ...]
    tokens: int
    truncated: bool
    length: int


class TextTokenizer:
    """Tokenizes texts for a bundle's model, cut to a maximum length or into windows of it.

    Whether upper and lower case differ is the tokenizer's affair (its normalizer): a model is
    trained with one, and has no use for another.

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
        long_text: What becomes of a text with more tokens: `truncate` keeps the first; `average`
            and `max` cut it into windows (see `window_starts`). A row that only special tokens fit
            into is always truncated.
        window_tokens: The tokens of a window, special tokens included.
        max_windows: The most windows of a text, 1 to 64.

    None of these four leaves it to the bundle: see `Reading.of`.

    Raises:
        ValueError: One of them is none of its choices, or they do not go together.
        BundleError: The bundle's tokenizer cannot be read.
    """

    def __init__(
        self,
        bundle: Bundle,
        max_length: int | None = None,
        long_text: str | None = None,
        window_tokens: int | None = None,
        max_windows: int | None = None,
    ) -> None:
        self.reading = Reading.of(bundle, max_length, long_text, window_tokens, max_windows)
        self.max_length = self.reading.max_length
        self._bundle = bundle
        self._tokenizer = bundle.tokenizer()
        self._special = tuple(self._tokenizer.encode("").ids)
        mask = self._tokenizer.encode("news").special_tokens_mask
        self._before = mask.index(0) if 0 in mask else len(mask)  # special tokens before the text
        # The tokens of a text that are kept, in one row or in all its windows.
        self._limit = self.max_length
        self._room = self.reading.window_tokens - len(self._special)  # of the text in a window
        if self.reading.long_text != "truncate" and self._room > 0:
            # One more than a row, at least: that a text is longer must be seen even where small
            # windows reach no further.
            self._limit = max(self._limit + 1, most_tokens(self._room) + len(self._special))
        self._bound: int | None = None
        if _is_local(self._tokenizer):
            self._bound = self._limit * CHARACTERS_PER_TOKEN + MARGIN
        # A limit that only special tokens fit into is more than the library can do: leave it room
        # for one token, and cut the row afterwards.
        self._tokenizer.enable_truncation(max(self._limit, len(self._special) + 1))

    @property
    def limit(self) -> int:
        """How many tokens of a text are looked for, special tokens included."""
        return self._limit

    @property
    def case_sensitive(self) -> bool:
        """Whether upper and lower case make a difference to the tokenizer."""
        normalizer = self._tokenizer.normalizer
        return normalizer is None or normalizer.normalize_str("A") != normalizer.normalize_str("a")

    @functools.cached_property
    def _whole(self) -> Tokenizer:
        """A tokenizer without a limit, for the texts that may have to be shortened."""
        return self._bundle.tokenizer()

    def __call__(self, texts: Sequence[str]) -> list[TokenizedText]:
        """Tokenizes texts.

        Args:
            texts: The texts. A lone surrogate, which is no character, counts as U+FFFD.

        Returns:
            For each text its windows. The special tokens around the text are in each of them; a
            limit that the special tokens do not fit into gives the first of them.
        """
        rows = []
        limit = self._limit
        for encoding in self._encode([self._shorten(text) for text in texts]):
            ids = tuple(encoding.ids)
            if len(ids) < limit:
                truncated = False
            elif len(ids) > limit:
                ids, truncated = self._special[:limit], True
            else:
                truncated = limit != len(self._special) and bool(encoding.overflowing)
            if len(ids) <= self.max_length:
                rows.append(TokenizedText((ids,), len(ids), truncated, len(ids) + truncated))
            else:
                rows.append(self._in_windows(ids, truncated))
        return rows

    def _in_windows(self, ids: tuple[int, ...], truncated: bool) -> TokenizedText:
        """Cuts a row that is too long; each window gets the special tokens around the text."""
        size, length = self._room, len(ids) - len(self._special)
        after = length + self._before
        begin, text, end = ids[: self._before], ids[self._before : after], ids[after:]
        starts = window_starts(length, size, self.reading.max_windows)
        windows = tuple(begin + text[first : first + size] + end for first in starts)
        looked_at = size + sum(min(size, b - a) for a, b in itertools.pairwise(starts))
        return TokenizedText(
            windows,
            looked_at + len(self._special),
            truncated or looked_at < length,
            len(ids) + truncated,
        )

    def words(self, text: str) -> list[tuple[int, int, int]]:
        """The words of a text that are classified.

        Returns:
            For each word where it begins and ends in the text (end exclusive), spaces not
            included, and how many of its tokens are classified. Words without any are left out.
        """
        text = _characters(text)
        encoding = self._tokenizer.encode(self._shorten(text))
        words: list[tuple[int, int, int]] = []
        last = None
        if self.max_length <= len(self._special):
            return words
        looked_at = self._looked_at(len(encoding.ids))
        for place, (word, (begin, end)) in enumerate(
            zip(encoding.word_ids, encoding.offsets, strict=True)
        ):
            if word is None or place not in looked_at:
                continue
            if word == last:
                first, _, tokens = words.pop()
                words.append((first, end, tokens + 1))
            else:
                words.append((begin, end, 1))
            last = word
        # Tokenizers that come from SentencePiece take the space before a word along, or make a word
        # of it.
        found = []
        for begin, end, tokens in words:
            letters = text[begin:end].strip()
            if letters:
                first = text.index(letters, begin)
                found.append((first, first + len(letters), tokens))
        return found

    def _looked_at(self, length: int) -> Container[int]:
        """The places of a row of tokens that are in its windows."""
        if length <= self.max_length:
            return range(length)
        starts = window_starts(length - len(self._special), self._room, self.reading.max_windows)
        return {self._before + place for a in starts for place in range(a, a + self._room)}

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
            if _trusted(encoding, len(beginning) - MARGIN) >= self._limit:
                return beginning
            bound *= 4
        return text


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
    pre_tokenizers = _types(_described(tokenizer.pre_tokenizer))
    return (
        bool(pre_tokenizers)
        and _LOCAL_PRE_TOKENIZERS.issuperset(pre_tokenizers)
        and _LOCAL_NORMALIZERS.issuperset(_types(_described(tokenizer.normalizer)))
    )


def _described(part: Any) -> dict[str, Any] | None:
    """A part of a tokenizer as tokenizer.json has it; the whole file would be long for two of them."""
    return None if part is None else json.loads(part.__getstate__())


def _types(part: dict[str, Any] | None) -> list[str]:
    """The types of a part, which may be a sequence of parts."""
    if part is None:
        return []
    inner = part.get("pretokenizers") or part.get("normalizers")
    return [t for p in inner for t in _types(p)] if inner else [part["type"]]


def _characters(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD; as long as before."""
    return _SURROGATE.sub("\ufffd", text)
