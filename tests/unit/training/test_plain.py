"""Rows without the marks of their sources."""

from __future__ import annotations

import pytest

from training.plain import plain


@pytest.mark.parametrize(
    ("marked", "bare"),
    [
        (
            "Move LONDON (Reuters) - A driver says he will  be back",
            "Move A driver says he will be back",
        ),
        ("Cup final (AP) AP - A club won", "Cup final A club won"),
        ("Stocks rise NEW YORK - Stocks rose", "Stocks rise Stocks rose"),
        ("Start CHAPEL HILL, N.C. -- A runner ran", "Start A runner ran"),
        ("Moon SPACE.com - A probe landed", "Moon A probe landed"),
        ("A bank #39;s bid Wouldn #39;t deter", "A bank's bid Wouldn't deter"),
        (
            "It is  quot;magic quot; for #36;5 a &lt;b&gt;...&lt;/b&gt;",
            'It is "magic" for $5 a ...',
        ),
        ("AT&amp;T and A amp;P", "AT&T and A&P"),
    ],
)
def test_marks_are_gone(marked: str, bare: str) -> None:
    assert plain(marked) == bare


@pytest.mark.parametrize(
    "text",
    [
        "Wal-Mart - the largest of them - opened a shop",
        "A 3-2 win for the US (and a loss for none)",
        "(Reuters)",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert plain(text) == text
