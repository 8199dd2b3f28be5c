"""Reads labelled news from CSV files in the layouts that AG News comes in."""

from __future__ import annotations

import csv
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

#: The classes of AG News' own files, 1 to 4.
AG_NEWS_CLASSES = ("World", "Sports", "Business", "Sci/Tech")

_LABEL_COLUMNS = ("label", "class", "category", "class index")
#: The likelier ones first.
_DELIMITERS = (",", ";", "\t", "|")
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
        labels_from: The number of the first class, 0 or 1; None where labels are given by name.
        other_targets: The targets if the first class had the other number, where the labels don't
            tell: those that are there fit both.
        values: For each text what the column `by` says of it, where one was named.
    """

    texts: tuple[str, ...]
    targets: tuple[int, ...]
    labels_from: int | None = None
    other_targets: tuple[int, ...] | None = None
    values: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.texts)


def read_csv(
    path: str | os.PathLike[str],
    labels: Sequence[str],
    limit: int | None = None,
    labels_from: int | None = None,
    *,
    by: str | None = None,
    open_file: Callable[[Path], AbstractContextManager[IO[str]]] = _open_text,
) -> LabelledNews:
    """Reads labelled news.

    Layouts: no header and `class,title,description` or `class,text`, as AG News is published; or a
    header with a column `label` (or `class`, `category`), and `text` or `title` and `description`.
    Semicolons, tabs and bars may stand for the commas. A class is the name of a label, whatever its
    case and punctuation; or a number from 1, as in AG News' files, or from 0 where a 0 occurs in
    the file. Where both may be (1 to 3 of four labels), `other_targets` has the other reading.
    Where the model has the labels of AG News, in whatever order, the first class is World;
    otherwise it is the first label. A backslash in a text stands for a line break and becomes a
    space.

    Args:
        path: The file, in UTF-8.
        labels: The labels of the model.
        limit: Keep only the first so many rows; None for all. The others are read all the same:
            whether classes are numbered from 0 is a matter of the whole file.
        labels_from: The number of the first class, 0 or 1; None goes by the file.
        by: A column of the header to group texts by; None for none.
        open_file: Opens the file, for those who read archives.

    Raises:
        CsvError: The file is missing or empty, or a row cannot be read; the message names the line.
    """
    path = Path(path)
    rows = _read(path, by, open_file)
    numbers = {
        n for _, label, *_ in rows if label not in labels and (n := _number(label)) is not None
    }
    first = (0 if 0 in numbers else 1) if labels_from is None else labels_from
    kept = rows[:limit]
    targets = _targets(path, kept, _LabelFinder(labels, first))
    other = None
    if labels_from is None and numbers and min(numbers) >= 1 and max(numbers) < len(labels):
        other = _targets(path, kept, _LabelFinder(labels, 1 - first))
    return LabelledNews(
        tuple(row.text for row in kept),
        targets,
        first if numbers else None,
        other,
        None if by is None else tuple(row.value for row in kept),
    )


@dataclass(frozen=True)
class NamedNews:
    """Texts, each with the label that its file gives it, and its line there."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)


def read_named(
    path: str | os.PathLike[str],
    *,
    open_file: Callable[[Path], AbstractContextManager[IO[str]]] = _open_text,
) -> NamedNews:
    """Reads labelled news in the layouts of `read_csv`, whose labels are what the file says.

    Args:
        path: The file, in UTF-8.
        open_file: Opens the file, for those who read archives.

    Raises:
        CsvError: As `read_csv`; or a row has no label.
    """
    path = Path(path)
    rows = _read(path, None, open_file)
    for line, label, text, _ in rows:
        if not label:
            raise CsvError(f"{path}, line {line}: the label is empty; name one, or leave it out")
        if not text.strip():
            raise CsvError(f"{path}, line {line}: the text is empty; leave the row out")
    return NamedNews(
        tuple(row.text.strip() for row in rows),
        tuple(row.label for row in rows),
        tuple(row.line for row in rows),
    )


def _read(
    path: Path, by: str | None, open_file: Callable[[Path], AbstractContextManager[IO[str]]]
) -> list[_Row]:
    """The rows of a file."""
    csv.field_size_limit(sys.maxsize)
    try:
        with open_file(path) as file:
            first_line = file.readline()
            reader = csv.reader(
                itertools.chain([first_line], file),
                delimiter=_delimiter(first_line),
                strict=True,
            )
            rows = list(_rows(path, reader, by))
    except OSError as e:
        raise CsvError(f"{path}: {e.strerror}; name a CSV file of labelled news") from e
    except UnicodeDecodeError as e:
        raise CsvError(f"{path}: not UTF-8 ({e.reason}); convert it first") from e
    if not rows:
        raise CsvError(f"{path}: no rows; name a CSV file with class,title,description")
    return rows


def _delimiter(line: str) -> str:
    """What divides a first line: texts hold the others, too, so the first that does is taken."""
    for delimiter in _DELIMITERS:
        if len(next(csv.reader([line], delimiter=delimiter), ())) > 1:
            return delimiter
    return ","


def _targets(path: Path, rows: Sequence[_Row], find: _LabelFinder) -> tuple[int, ...]:
    """The index of each row's label."""
    targets = []
    for line, label, text, _ in rows:
        target = find(label)
        if target is None:
            raise CsvError(
                f"{path}, line {line}: {label!r} is no label of the model; it knows "
                f"{find.choices()}"
            )
        if not text.strip():
            raise CsvError(f"{path}, line {line}: the text is empty; leave the row out")
        targets.append(target)
    return tuple(targets)


def _number(label: str) -> int | None:
    """The number that a label is, if it is one; spreadsheets write 1 as 1.0."""
    return int(match[1]) if (match := re.fullmatch(r"(\d+)(?:\.0*)?", label, re.ASCII)) else None


def _folded(name: str) -> str:
    """A name without case and punctuation: Sci/Tech, sci-tech and SciTech are one."""
    return "".join(filter(str.isalnum, name.casefold()))


class _Row(NamedTuple):
    """A row: its line, and what its columns say."""

    line: int
    label: str
    text: str
    value: str


def _rows(path: Path, reader: Iterator[list[str]], by: str | None) -> Iterator[_Row]:
    """The rows of a file; `by` names the column of `value`."""
    label_column = 0
    by_column: int | None = None
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
                    by_column = None if by is None else _column(path, header, by)
                    continue
                if any(name in _TEXT_COLUMNS for name in header):
                    raise CsvError(
                        f"{path}: its columns are {', '.join(header)}; name the label's column label"
                    )
                if by is not None:
                    raise CsvError(f"{path}: has no header, so no column {by!r}; write one")
                text_columns = list(range(1, width))
            if len(row) != width or width < 2:
                raise CsvError(
                    f"{path}, line {line}: {len(row)} columns; give each row a class and a text, "
                    f"as in class,title,description"
                )
            text = " ".join(row[i] for i in text_columns or ()).replace("\\", " ")
            value = "" if by_column is None else row[by_column].strip()
            yield _Row(line, row[label_column].strip(), text, value)
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


def _column(path: Path, header: list[str], name: str) -> int:
    """Which column has a name."""
    if name.strip().lower() not in header:
        raise CsvError(f"{path}: has no column {name!r}; it has {', '.join(header)}")
    return header.index(name.strip().lower())


class _LabelFinder:
    """Finds the index of a label that is given by number or name."""

    def __init__(self, labels: Sequence[str], first: int) -> None:
        numbered = AG_NEWS_CLASSES if sorted(labels) == sorted(AG_NEWS_CLASSES) else tuple(labels)
        self._names = {name: i for i, name in enumerate(labels)}
        self._numbers = {n: self._names[name] for n, name in enumerate(numbered, first)}
        # The stricter likeness first: labels may differ in their punctuation only.
        self._alike = [
            {likeness(name): i for name, i in self._names.items() if likeness(name)}
            for likeness in (str.casefold, _folded)
        ]

    def __call__(self, label: str) -> int | None:
        if label in self._names:
            return self._names[label]
        number = _number(label)
        if number is not None:
            return self._numbers.get(number)
        casefolded, folded = self._alike
        return casefolded.get(label.casefold(), folded.get(_folded(label)))

    def choices(self) -> str:
        """The numbers and names it finds, for people."""
        return ", ".join([*map(str, self._numbers), *self._names])
