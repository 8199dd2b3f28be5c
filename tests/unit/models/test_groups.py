"""Accuracy by group: by length, whose fall is told from chance, and by a column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.groups import by_length, by_value
from models.labelled_news import CsvError, read_csv


def right(hits: int, total: int) -> np.ndarray:
    return np.arange(total) < hits


def test_lengths() -> None:
    found = by_length([3, 16, 17, 512, 513], 512, right(4, 5))
    assert [(g.name, g.samples, g.accuracy) for g in found.groups] == [
        ("1 to 16", 2, 1.0),
        ("17 to 32", 1, 1.0),
        ("257 to 512", 1, 1.0),
        ("over 512", 1, 0.0),
    ]


def test_what_was_cut_is_longer_than_the_rest() -> None:
    found = by_length([10, 40, 50, 51], 50, right(2, 4))
    assert [(g.name, g.samples) for g in found.groups] == [
        ("1 to 16", 1),
        ("33 to 50", 2),
        ("over 50", 1),
    ]


def test_windows_look_for_more() -> None:
    found = by_length([500, 600, 2001], 2000, right(2, 3))
    assert [g.name for g in found.groups] == ["257 to 512", "513 to 2000", "over 2000"]


@pytest.mark.parametrize(
    ("short", "long", "falls"),
    [
        (90, 50, True),
        (90, 85, False),  # as chance has it
        (50, 90, False),
        (100, 100, False),
    ],
)
def test_a_fall_is_more_than_chance(short: int, long: int, falls: bool) -> None:
    tokens = [10] * 100 + [300] * 100
    found = by_length(tokens, 512, np.concatenate([right(short, 100), right(long, 100)]))
    assert found.falls is falls


def test_values_most_frequent_first() -> None:
    found = by_value(["b", "a", "a", ""], right(2, 4))
    assert [(g.name, g.samples, g.accuracy) for g in found] == [
        ("a", 2, 0.5),
        ("", 1, 0.0),
        ("b", 1, 1.0),
    ]
    low, high = found[0].accuracy_interval
    assert low < 0.5 < high


def test_a_column_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "news.csv"
    file.write_text("label,title,Source,body\nWorld,A, bbc ,b\nSports,C,reuters,d\n")
    news = read_csv(file, ["World", "Sports"], by="source")
    assert news.values == ("bbc", "reuters")
    assert news.texts == ("A b", "C d")
    with pytest.raises(CsvError, match=r"no column 'place'; it has label, title, source, body"):
        read_csv(file, ["World", "Sports"], by="place")
    file.write_text("World,A,b\n")
    with pytest.raises(CsvError, match="has no header, so no column 'source'"):
        read_csv(file, ["World", "Sports"], by="source")
