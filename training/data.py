"""Read AG News, split off a validation part without near-duplicates, and tokenize both."""

from __future__ import annotations

import csv
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

LABELS = ("World", "Sports", "Business", "Sci/Tech")
_SHINGLE_WORDS = 4
_NEAR_DUPLICATE = 0.4
_AT_A_TIME = 1000


@dataclass(frozen=True)
class Articles:
    """Texts and their labels (0-based, in the order of `LABELS`)."""

    texts: list[str]
    labels: list[int]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Iterable[int]) -> Articles:
        """The articles at `rows`, in that order."""
        rows = list(rows)
        return Articles([self.texts[i] for i in rows], [self.labels[i] for i in rows])


def _clean(text: str) -> str:
    """AG News writes a line break as a backslash; the pipeline reads it as a space."""
    return text.replace("\\", " ")


def read_train(path: Path) -> Articles:
    """Read a `label,text` file with a header; labels 1-4 become 0-3."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [
            (int(row["label"]) - 1, _clean(row["text"]).strip()) for row in csv.DictReader(file)
        ]
    return Articles([text for _, text in rows], [label for label, _ in rows])


def read_test(path: Path, titles_only: bool = False) -> Articles:
    """Read the official test file: `class,title,description`, no header."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    texts = [_clean(title if titles_only else f"{title} {text}") for _, title, text in rows]
    return Articles(texts, [int(number) - 1 for number, _, _ in rows])


def _shingles(text: str) -> set[int]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    if len(words) <= _SHINGLE_WORDS:
        return {hash(tuple(words))}
    return {
        hash(tuple(words[i : i + _SHINGLE_WORDS])) for i in range(len(words) - _SHINGLE_WORDS + 1)
    }


def near_duplicates(texts: list[str], of: list[str], boilerplate: int | None = None) -> set[int]:
    """Rows of `texts` that share at least 40% of their shingles with one text in `of`.

    Containment over the shorter of the two, in shingles of four words, so that the same
    description under another title counts as a duplicate.

    Args:
        texts: what is looked at.
        of: what it may repeat.
        boilerplate: shingles that more than so many texts in `of` have are left out: forms that
            many texts are written in, or what a site puts under each. None: all count.
    """
    index: dict[int, list[int]] = {}
    every = [_shingles(text) for text in of]
    common: set[int] = set()
    if boilerplate is not None:
        counts = Counter(shingle for shingles in every for shingle in shingles)
        common = {shingle for shingle, count in counts.items() if count > boilerplate}
    sizes = []
    for row, shingles in enumerate(every):
        shingles -= common
        sizes.append(len(shingles))
        for shingle in shingles:
            index.setdefault(shingle, []).append(row)
    found = set()
    for row, text in enumerate(texts):
        shingles = _shingles(text) - common
        shared = Counter(other for s in shingles for other in index.get(s, ()))
        if any(n >= _NEAR_DUPLICATE * min(len(shingles), sizes[o]) for o, n in shared.items()):
            found.add(row)
    return found


def split(articles: Articles, validation_rows: int, seed: int) -> tuple[Articles, Articles]:
    """Hold `validation_rows` out at random; near-duplicates of them leave the training part."""
    order = list(range(len(articles)))
    random.Random(seed).shuffle(order)
    validation = articles.take(order[:validation_rows])
    train = articles.take(order[validation_rows:])
    return without_near_duplicates(train, validation), validation


def without_near_duplicates(articles: Articles, of: Articles) -> Articles:
    """`articles` less the rows that nearly repeat a text in `of`."""
    duplicates = near_duplicates(articles.texts, of.texts)
    return articles.take(i for i in range(len(articles)) if i not in duplicates)


@dataclass(frozen=True)
class Tokens:
    """Token ids of many texts without padding: row i is `ids[starts[i]:starts[i + 1]]`."""

    ids: np.ndarray
    starts: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, special tokens included."""
        return np.diff(self.starts)

    def take(self, rows: np.ndarray) -> Tokens:
        """The given rows, in that order."""
        ids = np.concatenate([self.row(int(row)) for row in rows])
        starts = np.concatenate([[0], np.cumsum(self.lengths[rows])])
        return Tokens(ids, starts, self.labels[rows])

    def cut(self, length: int) -> Tokens:
        """The rows without what is beyond `length` tokens, but for the last, special one."""
        if self.lengths.max() <= length:
            return self
        rows = [self.row(i) for i in range(len(self))]
        rows = [
            row if len(row) <= length else np.append(row[: length - 1], row[-1]) for row in rows
        ]
        return Tokens(
            np.concatenate(rows), np.cumsum([0] + [len(row) for row in rows]), self.labels
        )

    def row(self, i: int) -> np.ndarray:
        """Token ids of one row."""
        return self.ids[self.starts[i] : self.starts[i + 1]]


def tokenize(articles: Articles, tokenizer: Tokenizer, max_length: int) -> Tokens:
    """Tokenize, truncating to `max_length` tokens, special tokens included."""
    tokenizer.enable_truncation(max_length)
    tokenizer.no_padding()
    rows: list[np.ndarray] = []
    # Some at a time: as lists of Python's numbers, ids take ten times the memory.
    for first in range(0, len(articles), _AT_A_TIME):
        texts = articles.texts[first : first + _AT_A_TIME]
        rows += [np.array(found.ids, np.int32) for found in tokenizer.encode_batch_fast(texts)]
    starts = np.cumsum([0] + [len(row) for row in rows])
    return Tokens(np.concatenate(rows), starts, np.asarray(articles.labels, dtype=np.int64))


def batches(
    lengths: np.ndarray, rows: int, rng: np.random.Generator, pool: int = 100
) -> list[np.ndarray]:
    """Shuffle, then sort by length within pools of `pool` batches: little padding, random order."""
    order = rng.permutation(len(lengths))
    found: list[np.ndarray] = []
    for start in range(0, len(order), rows * pool):
        part = order[start : start + rows * pool]
        part = part[np.argsort(lengths[part], kind="stable")]
        found += [part[i : i + rows] for i in range(0, len(part), rows)]
    return [found[i] for i in rng.permutation(len(found))]


def pad(tokens: Tokens, rows: np.ndarray, pad_id: int) -> np.ndarray:
    """Right-pad the given rows to the longest of them: int64 array (rows, length)."""
    return pad_rows([tokens.row(int(row)) for row in rows], pad_id)


def pad_rows(rows: Sequence[np.ndarray], pad_id: int) -> np.ndarray:
    """Right-pad rows of token ids to the longest of them: int64 array (rows, length)."""
    ids = np.full((len(rows), max(map(len, rows))), pad_id, dtype=np.int64)
    for row, piece in zip(ids, rows, strict=True):
        row[: len(piece)] = piece
    return ids
