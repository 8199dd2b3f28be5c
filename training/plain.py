"""Rows without the marks of their sources: what news look like that no agency's feed has marked.

AG News' rows name their agency and place ("NEW YORK (Reuters) - "), which tells much of their label
there and is in few texts elsewhere, and hold what is left of HTML (" #39;", " quot;", "&lt;b&gt;").
"""

from __future__ import annotations

import re

_TAG = re.compile(r"&lt;.*?&gt;|<[^<>]*>")
_AGENCY = r"(?:Reuters|AP|AFP|[A-Za-z]+\.com)"
_PLACE = r"\b[A-Z][A-Z.'-]{2,}(?:[ ,]+[A-Z][A-Za-z.'-]*){0,4}"
#: Where a description begins: a place in capitals, an agency, or both, up to a dash.
_DATELINE = re.compile(rf"(?:(?:{_PLACE},?\s+)?\({_AGENCY}\)|{_PLACE}|\b{_AGENCY})\s+-{{1,2}}\s+")
_IN_TITLE = re.compile(rf"\s*\({_AGENCY}\)")
_ENTITIES = (
    (re.compile(r"\s*#39;\s?(?=[a-z]{1,2}\b)"), "'"),
    (re.compile(r"\s*#39;"), "'"),
    (re.compile(r"\s?&?quot;"), '"'),
    (re.compile(r"(?<=\s)\s#36;|#36;"), "$"),
    (re.compile(r"\s?&?amp;"), "&"),
    (re.compile(r"\s?#\d{2,4};"), " "),
)


def plain(text: str) -> str:
    """A row without agencies, places and what is left of HTML; itself where that would be all."""
    found = _TAG.sub(" ", text)
    found = _IN_TITLE.sub("", _DATELINE.sub("", found))
    for pattern, character in _ENTITIES:
        found = pattern.sub(character, found)
    return " ".join(found.split()) or text
