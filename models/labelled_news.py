"""Reads labelled news from CSV files in the layouts that AG News comes in."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

#: The classes of AG News' own files, 1 to 4.
AG_NEWS_CLASSES = ("World", "Sports", "Business", "Sci/Tech")

_LABEL_COLUMNS = ("label", "class", "category", "class index")
_TEXT_COLUMNS = ("text", "title", "headline", "description", "body")


def _open_text(path: Path) -> IO[str]:
    return path.open(encoding="utf-8-sig", newline="")


class CsvError(ValueError):
    """A CSV file that cannot be evaluated. Its message is one line: the place, and the fix."""


@dataclass(frozen=True)
class LabelledNews:
    """Texts and what they are about.

    Attributes:
        texts: The texts; of title and description, both with a space between.
        targets: For each text the index of its label.
    """

    texts: tuple[str, ...]
    targets: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)


def read_csv(
    path: str | os.PathLike[str],
    labels: Sequence[str],
    limit: int | None = None,
    *,
    open_file: Callable[[Path], AbstractContextManager[IO[str]]] = _open_text,
) -> LabelledNews:
    """Reads labelled news.

    Layouts: no header and `class,title,description` or `class,text`, as AG News is published; or a
    header with a column `label` (or `class`, `category`), and `text` or `title` and `description`.
    A class is a number from 1, as in AG News' files, or from 0 where a 0 occurs in the file; or the
    name of a label. Where the model has the labels of AG News, in whatever order, class 1 is World;
    otherwise class 1 is the first label. A backslash in a text stands for a line break and becomes
    a space.

    Args:
        path: The file, in UTF-8.
        labels: The labels of the model.
        limit: Keep only the first so many rows; None for all. The others are read all the same:
            whether classes are numbered from 0 is a matter of the whole file.
        open_file: Opens the file, for those who read archives.

    Raises:
        CsvError: The file is missing or empty, or a row cannot be read; the message names the line.
    """
    path = Path(path)
    csv.field_size_limit(sys.maxsize)
    try:
        with open_file(path) as file:
            rows = list(_rows(path, csv.reader(file, strict=True)))
    except OSError as e:
        raise CsvError(f"{path}: {e.strerror}; name a CSV file of labelled news") from e
    except UnicodeDecodeError as e:
        raise CsvError(f"{path}: not UTF-8 ({e.reason}); convert it first") from e
    if not rows:
        raise CsvError(f"{path}: no rows; name a CSV file with class,title,description")
    find = _LabelFinder(labels, from_zero=any(label == "0" for _, label, _ in rows))
    rows = rows[:limit]
    targets = []
    for line, label, _ in rows:
        target = find(label)
        if target is None:
            raise CsvError(
                f"{path}, line {line}: {label!r} is no label of the model; it knows "
                f"{find.choices()}"
            )
        targets.append(target)
    return LabelledNews(tuple(text for _, _, text in rows), tuple(targets))


def _rows(path: Path, reader: Iterator[list[str]]) -> Iterator[tuple[int, str, str]]:
    """Line number, label and text of each row."""
    label_column = 0
    text_columns: list[int] | None = None
    width = 0
    line = 0
    try:
        for row in reader:
            line = reader.line_num  # type: ignore[attr-defined]
            if not row:
                continue
            if not width:
                width = len(row)
                header = [name.strip().lower() for name in row]
                if any(name in _LABEL_COLUMNS for name in header):
                    label_column, text_columns = _columns(path, header)
                    continue
                text_columns = list(range(1, width))
            if len(row) != width or width < 2:
                raise CsvError(
                    f"{path}, line {line}: {len(row)} columns; give each row a class and a text, "
                    f"as in class,title,description"
                )
            text = " ".join(row[i] for i in text_columns or ()).replace("\\", " ")
            yield line, row[label_column].strip(), text
    except csv.Error as e:
        raise CsvError(
            f"{path}, line {line + 1}: {e}; close every quote, and quote fields that hold commas"
        ) from e


def _columns(path: Path, header: list[str]) -> tuple[int, list[int]]:
    """Which columns of a header hold the label and the text."""
    label = next(i for i, name in enumerate(header) if name in _LABEL_COLUMNS)
    texts = [i for i, name in enumerate(header) if name in _TEXT_COLUMNS and i != label]
    if "text" in header:
        texts = [header.index("text")]
    if not texts:
        raise CsvError(
            f"{path}: its columns are {', '.join(header)}; name the text's column text, or its "
            "columns title and description"
        )
    return label, texts


class _LabelFinder:
    """Finds the index of a label that is given by number or name."""

    def __init__(self, labels: Sequence[str], from_zero: bool) -> None:
        numbered = AG_NEWS_CLASSES if sorted(labels) == sorted(AG_NEWS_CLASSES) else tuple(labels)
        first = 0 if from_zero else 1
        index = {name: i for i, name in enumerate(labels)}
        self._numbers = {str(n): index[name] for n, name in enumerate(numbered, first)}
        self._names = index
        self._folded = {name.casefold(): i for name, i in index.items()}

    def __call__(self, label: str) -> int | None:
        for known, key in (
            (self._names, label),
            (self._numbers, label),
            (self._folded, label.casefold()),
        ):
            if key in known:
                return known[key]
        return None

    def choices(self) -> str:
        """The numbers and names it finds, for people."""
        return ", ".join([*self._numbers, *self._names])
