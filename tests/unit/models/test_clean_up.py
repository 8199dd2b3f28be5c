"""Clean-up of texts: HTML as news feeds and AG News have it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.clean_up import CLEAN_UPS, clean_up_named


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("Microsoft #39;s new quot;Foo quot;", 'Microsoft\'s new"Foo"'),
        ("It&#39;s &quot;new&quot; &amp; shiny", 'It\'s "new" & shiny'),
        ("AT amp;T pays #36;5", "AT&T pays$5"),
        ("&lt;b&gt;Bold&lt;/b&gt; words", "Bold words"),
        ("&amp;lt;b&amp;gt;twice&amp;lt;/b&amp;gt;", "twice"),
        ("<p>One</p><p>Two<br/>Three</p>", "One Two Three"),
        ('<A HREF="http://x/?a=1&b=2">w<b>or</b>d</A>', "word"),
        ("<script>alert('x')</script>News<!-- no -->", "News"),
        ("a < b and c > d", "a < b and c > d"),
        ("1 &lt; 2", "1 < 2"),
        ("I <3 it", "I <3 it"),
        ("ends with a <b", "ends with a <b"),
        ("line\\break\\n \\new\\\\two\\r\\nEnd", "line break new two End"),
        ("R&D; AT&T; #1 seed; item#39; x", "R&D; AT&T; #1 seed; item#39; x"),
        ("&nbsp;a&nbsp;&nbsp;b&hellip;", "a b…"),
        ("&#xD800;&#0;&#1114112;", "\ufffd\ufffd\ufffd"),
    ],
)
def test_html(text: str, clean: str) -> None:
    assert CLEAN_UPS["html"](text) == clean


@given(st.text(st.sampled_from("<>/&;#!-abltgmpquo39 \\\"'")))
def test_html_twice_is_html_once(text: str) -> None:
    once = CLEAN_UPS["html"](text)
    assert CLEAN_UPS["html"](once) == once


def test_a_clean_up_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"'wash'.*html"):
        clean_up_named("wash")
