"""Labelled news from CSV files: the layouts, and every fault with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.labelled_news import AG_NEWS_CLASSES, CsvError, LabelledNews, read_csv, read_named


def read(tmp_path: Path, text: str, labels: tuple[str, ...] = AG_NEWS_CLASSES) -> LabelledNews:
    file = tmp_path / "news.csv"
    file.write_text(text, encoding="utf-8", newline="")
    return read_csv(file, labels)


@pytest.mark.parametrize(
    ("text", "texts", "targets"),
    [
        ('"3","A","B, c"\n"1","D","E"\n', ("A B, c", "D E"), (2, 0)),
        ("1,one text\r\n4,another\r\n", ("one text", "another"), (0, 3)),
        ("label,text\n2,x\n", ("x",), (1,)),
        ("label,text\n0,x\n3,y\n", ("x", "y"), (0, 3)),
        ("Text,Label\nx,Sports\n", ("x",), (1,)),
        ("label,title,description\nsci/tech,T,D\n", ("T D",), (3,)),
        ("title,description,category,url\nT,D,World,u\n", ("T D",), (0,)),
        ("Class Index,Title,Description\n4,T,D\n", ("T D",), (3,)),
        ("\ufefflabel,text\n1,x\n", ("x",), (0,)),
        ("Business,x\n", ("x",), (2,)),
        ("label;text\nSports;x, y\n", ("x, y",), (1,)),
        ("label\ttext\n2\tx, y; z\n", ("x, y; z",), (1,)),
        ("class|title|description\n2|T|D\n", ("T D",), (1,)),
        ("Sports,x; y; z\n", ("x; y; z",), (1,)),
        ('1,"a\\b","two\nlines"\n\n2,c,\n', ("a b two\nlines", "c "), (0, 1)),
    ],
)
def test_layouts(tmp_path: Path, text: str, texts: tuple[str, ...], targets: list[int]) -> None:
    news = read(tmp_path, text)
    assert (news.texts, news.targets) == (texts, targets)
    assert len(news) == len(texts)


def test_class_1_is_world_in_whatever_order_the_model_has_them(tmp_path: Path) -> None:
    labels = ("Business", "Sci/Tech", "Sports", "World")
    assert read(tmp_path, "1,x\n2,y\n", labels).targets == (3, 2)
    assert read(tmp_path, "1,x\n2,y\n", ("up", "down")).targets == (0, 1)


@pytest.mark.parametrize(
    ("labels", "targets", "labels_from", "other"),
    [
        ("1 2 3", (0, 1, 2), 1, (1, 2, 3)),
        ("1.0 2.0 3.", (0, 1, 2), 1, (1, 2, 3)),
        ("2", (1,), 1, (2,)),
        ("1 2 Sports", (0, 1, 1), 1, (1, 2, 1)),
        ("1 4", (0, 3), 1, None),
        ("01 04", (0, 3), 1, None),
        ("0 3", (0, 3), 0, None),
        ("0.0 1.0", (0, 1), 0, None),
        ("world SPORTS Business", (0, 1, 2), None, None),
        ("sci-tech SciTech Sci_Tech sci/tech", (3, 3, 3, 3), None, None),
    ],
)
def test_what_labels_stand_for(
    tmp_path: Path,
    labels: str,
    targets: tuple[int, ...],
    labels_from: int | None,
    other: tuple[int, ...] | None,
) -> None:
    news = read(tmp_path, "".join(f"{label},x\n" for label in labels.split()))
    assert (news.targets, news.labels_from, news.other_targets) == (targets, labels_from, other)


def test_labels_are_numbered_as_one_says(tmp_path: Path) -> None:
    file = tmp_path / "news.csv"
    file.write_text("1,a\n3,b\n")
    for first in (0, 1):
        news = read_csv(file, AG_NEWS_CLASSES, labels_from=first)
        assert (news.targets, news.other_targets) == ((1 - first, 3 - first), None)
    file.write_text("4,a\n")
    with pytest.raises(CsvError, match="'4' is no label of the model; it knows 0, 1, 2, 3, World"):
        read_csv(file, AG_NEWS_CLASSES, labels_from=0)


def test_labels_that_are_numbers_themselves(tmp_path: Path) -> None:
    news = read(tmp_path, "1,x\n2,y\n", ("0", "1", "2"))
    assert (news.targets, news.labels_from, news.other_targets) == ((1, 2), None, None)


def test_limit(tmp_path: Path) -> None:
    file = tmp_path / "news.csv"
    file.write_text("1,a\n2,b\n3,c\n")
    assert read_csv(file, AG_NEWS_CLASSES, limit=2).texts == ("a", "b")
    assert read_csv(file, AG_NEWS_CLASSES, limit=9).texts == ("a", "b", "c")


def test_a_limit_does_not_change_what_a_number_means(tmp_path: Path) -> None:
    file = tmp_path / "news.csv"
    file.write_text("1,a\n2,b\n0,c\n")
    whole = read_csv(file, AG_NEWS_CLASSES).targets
    assert whole == (1, 2, 0)
    assert read_csv(file, AG_NEWS_CLASSES, limit=2).targets == whole[:2]


def test_labels_beyond_the_limit_need_not_be_known(tmp_path: Path) -> None:
    file = tmp_path / "news.csv"
    file.write_text("1,a\nWeather,b\n")
    assert read_csv(file, AG_NEWS_CLASSES, limit=1).targets == (0,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows"),
        ("label,text\n", "no rows"),
        ("1,a\n5,b\n", r"line 2: '5' is no label of the model; it knows 1, 2, 3, 4, World"),
        ("0,a\n4,b\n", "line 2: '4' is no label of the model; it knows 0, 1, 2, 3, World"),
        ("Weather,a\n", "line 1: 'Weather' is no label"),
        ("-,a\n", "line 1: '-' is no label"),
        ("1.5,a\n", "line 1: '1.5' is no label"),
        ("1, \n", "line 1: the text is empty"),
        ("1,a,b\n2,c\n", "line 2: 2 columns; give each row a class and a text"),
        ("just a text\n", "line 1: 1 columns"),
        ("label,url\n1,u\n", "its columns are label, url; name"),
        ("topic,text\n1,u\n", "its columns are topic, text; name the label's column label"),
        ('1,"a\n', "line 1: unexpected end of data; close every quote"),
    ],
)
def test_faults(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(CsvError, match=words) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "news.csv"))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CsvError, match="No such file"):
        read_csv(tmp_path / "no.csv", AG_NEWS_CLASSES)
    file = tmp_path / "latin.csv"
    file.write_bytes(b"1,caf\xe9 closed\n")
    with pytest.raises(CsvError, match="not UTF-8"):
        read_csv(file, AG_NEWS_CLASSES)


@pytest.mark.parametrize(
    "text",
    [
        "label,title,body\nOil,Prices,rise\nGas, ,\\falls \n",
        "body;title;label\nrise;Prices;Oil\n falls;;Gas\n",
        "Oil,Prices rise\nGas,falls\n",
    ],
    ids=["header", "other_order", "no_header"],
)
def test_labels_that_no_model_knows(tmp_path: Path, text: str) -> None:
    file = tmp_path / "news.csv"
    file.write_text(text)
    found = read_named(file)
    assert found.labels == ("Oil", "Gas")
    assert sorted(found.texts[0].split()) == ["Prices", "rise"]
    assert found.texts[1] == "falls"
    assert found.lines == ((1, 2) if text.startswith("Oil") else (2, 3))
    assert len(found) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("label,text\nOil,x\n ,y\n", "line 3: the label is empty; name one, or leave it out"),
        ("label,title,body\nOil,,\n", "line 2: the text is empty; leave the row out"),
        ("", "no rows"),
    ],
)
def test_rows_without_a_label_or_a_text(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "news.csv"
    file.write_text(text)
    with pytest.raises(CsvError, match=words):
        read_named(file)
