"""A file of the user's own is split so that what reports has trained nothing, and refused in a line."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from models.errors import BundleError
from models.labelled_news import NamedNews
from training import data, own_news

WORDS = [f"{a}{b}{c}" for a in "bdfgkl" for b in "aeiou" for c in ("na", "ro", "ti", "su", "mek")]


def text(number: int) -> str:
    """A text that shares no four words with another one."""
    rng = np.random.default_rng(number)
    return " ".join(rng.choice(WORDS, 12))


def news(**counts: int) -> NamedNews:
    """So many different texts of each label."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    return NamedNews(
        tuple(text(i) for i in range(len(labels))),
        tuple(labels),
        tuple(range(2, len(labels) + 2)),
    )


def divide(found: NamedNews, known=(), held_out=0.2, seed=0) -> own_news.Parts:
    return own_news.divide(found, known, held_out, seed)


def test_each_label_has_the_same_share_in_each_part():
    parts = divide(news(b=100, a=50, c=10))
    assert parts.facts.labels == ("a", "b", "c")
    assert Counter(parts.train.labels) == {0: 40, 1: 80, 2: 8}
    assert Counter(parts.calibrating.labels) == {0: 5, 1: 10, 2: 1}
    assert Counter(parts.reporting.labels) == {0: 5, 1: 10, 2: 1}
    texts = [t for part in (parts.train, parts.calibrating, parts.reporting) for t in part.texts]
    assert len(set(texts)) == len(texts) == 160
    facts = parts.facts
    assert (facts.rows, facts.trained, facts.calibrating, facts.reporting) == (160, 128, 16, 16)
    assert (facts.fewest, facts.most) == (10, 100)


def test_the_seed_says_which_rows_are_held_out():
    found = news(a=40, b=40)
    assert divide(found, seed=1) == divide(found, seed=1)
    assert divide(found, seed=1).reporting != divide(found, seed=2).reporting


def test_the_smallest_file_that_is_taken():
    parts = divide(news(a=8, b=8))
    assert Counter(parts.train.labels) == {0: 6, 1: 6}
    assert len(parts.calibrating) == len(parts.reporting) == 2


def test_no_more_is_held_out_than_says_more(monkeypatch):
    monkeypatch.setattr(own_news, "MOST_HELD_OUT", 20)
    parts = divide(news(a=100, b=100))
    assert len(parts.calibrating) + len(parts.reporting) == 20


@pytest.mark.parametrize(
    ("labels", "known", "order"),
    [
        ("10 9 2", "", "2 9 10"),
        ("World Sports", "Sports World", "Sports World"),
        ("World Sports", "World Sports Business", "Sports World"),
    ],
)
def test_the_order_of_labels(labels: str, known: str, order: str):
    found = divide(news(**dict.fromkeys(labels.split(), 8)), tuple(known.split()))
    assert found.facts.labels == tuple(order.split())


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("Sport\nFood", r"^line 10: the label 'Sport\\nFood' has a line break or another control"),
        ("\x1b[31mSport", "line 10: .* has a line break or another control character; close every"),
        ("Sport\u2028", "close every quote, and write labels without$"),
        ("x" * 201, "^line 10: the label 'x{40}…' has 201 characters, and may have 200; is the"),
    ],
)
def test_labels_that_are_no_names(label: str, words: str):
    with pytest.raises(BundleError, match=words):
        divide(news(**{"a": 8, label: 8}))


@pytest.mark.parametrize("label", ['Pol/itics, "x"', "⚽️ Sport|=Δ", "👨‍👩‍👧", "<b>", "x" * 200])
def test_labels_of_any_script(label: str):
    assert set(divide(news(**{"a": 8, label: 8})).facts.labels) == {"a", label}


def test_rows_that_are_there_twice():
    found = news(a=20, b=20)
    twice = NamedNews(
        (*found.texts, *found.texts[:5], found.texts[0]),
        (*found.labels, *found.labels[:5], "b"),
        tuple(range(2, 48)),
    )
    facts = divide(twice).facts
    assert (facts.rows, facts.repeated, facts.contradicted) == (46, 5, 1)
    assert facts.trained + facts.near + facts.calibrating + facts.reporting == 41


def test_near_duplicates_of_what_is_held_out_do_not_train():
    found = news(a=30, b=30)
    copies = NamedNews(
        (*found.texts, *(f"{t} again" for t in found.texts)),
        found.labels * 2,
        tuple(range(2, 122)),
    )
    parts = divide(copies)
    assert parts.facts.near > 0
    held = [*parts.calibrating.texts, *parts.reporting.texts]
    assert not data.near_duplicates(parts.train.texts, held)


def test_what_is_under_every_text_makes_no_duplicates():
    found = news(a=200, b=200)
    under = " All rights reserved by the makers of this site and nobody else in the world"
    signed = NamedNews(tuple(t + under for t in found.texts), found.labels, found.lines)
    assert data.near_duplicates([signed.texts[0]], [signed.texts[1]]) == {0}
    assert divide(signed).facts.near == 0


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (news(a=20), "every row has the label 'a'; give rows of two labels or more"),
        (
            news(a=20, b=7),
            "label 'b' has 7 different rows; give each label 8 or more, or leave it out",
        ),
        (
            news(a=20, b=1, c=2),
            r"'b' has 1 different row \(and 1 more of them have too few\); give",
        ),
        (news(Sports=20, World=20, sports=1), "'sports' has 1 .* or write it 'Sports', if that is"),
        (
            NamedNews(("x y",) * 20, ("a",) * 10 + ("b",) * 10, tuple(range(20))),
            "label 'a' has 1 different row",
        ),
    ],
    ids=["one", "few", "several", "alike", "repeated"],
)
def test_files_that_are_refused(found: NamedNews, words: str):
    with pytest.raises(BundleError, match=words) as caught:
        divide(found)
    assert "\n" not in str(caught.value)


def test_too_many_labels():
    many = NamedNews(
        tuple(map(str, range(1001))), tuple(f"l{i}" for i in range(1001)), tuple(range(1001))
    )
    with pytest.raises(
        BundleError, match="1,001 labels: newsbeam trains at most 1,000; is the first"
    ):
        divide(many)


def test_a_label_of_which_nothing_is_left_to_train():
    same = news(a=20, b=20)
    texts = [
        f"{text(0)} number {i}" if label == "a" else t
        for i, (t, label) in enumerate(zip(same.texts, same.labels, strict=True))
    ]
    with pytest.raises(BundleError, match="label 'a': its 20 rows nearly repeat each other, and 0"):
        divide(NamedNews(tuple(texts), same.labels, same.lines))


def test_weights_of_labels():
    assert own_news.label_weights([0] * 10 + [1] * 12) is None
    labels = [0] * 900 + [1] * 100
    weights = own_news.label_weights(labels)
    assert weights is not None
    assert weights[1] / weights[0] == pytest.approx(3)
    assert weights[labels].mean() == pytest.approx(1)
    rare = own_news.label_weights([0] * 100_000 + [1] * 10)
    assert rare is not None
    assert rare[1] / rare[0] < 10
