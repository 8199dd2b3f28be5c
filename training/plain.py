"""Rows without the marks of their sources: what news look like that no agency's feed has marked.

AG News' rows name their agency and place ("NEW YORK (Reuters) - "), which tells much of their label
there and is in few texts elsewhere, and hold what is left of HTML (" #39;", " quot;", "&lt;b&gt;").
"""

from __future__ import annotations

import re

_TAG = re.compile(r"&lt;.*?&gt;|<[^<>]*>")
#: A place in capitals, an agency in parentheses, or both, up to a dash: where a description begins.
_DATELINE = re.compile(
    r"(?:\b[A-Z][A-Z.'-]+(?:[ ,]+[A-Z][A-Za-z.'-]*){0,4},?\s+)?\((?:Reuters|AP|AFP|[A-Za-z]+\.com)\)\s+-{1,2}\s+"
    r"|\b[A-Z]{3,}(?:[ ,]+[A-Z][A-Za-z.]*){0,4}\s+-{1,2}\s+"
    r"|\b(?:Reuters|AP|AFP|[A-Z]+\.com|[A-Za-z]+\.com)\s+-{1,2}\s+"
)
_AGENCY = re.compile(r"\s*\((?:Reuters|AP|AFP|[A-Za-z]+\.com)\)")
_ENTITIES = (
    (re.compile(r"\s*#39;\s?(?=[a-z]{1,2}\b)"), "'"),
    (re.compile(r"\s*#39;"), "'"),
    (re.compile(r"\s?&?quot;"), '"'),
    (re.compile(r"\s?#36;"), "$"),
    (re.compile(r"\s?&?amp;"), "&"),
    (re.compile(r"\s?#\d{2,4};"), " "),
)


def plain(text: str) -> str:
    """A row without agencies, places and what is left of HTML; itself where that would be all."""
    found = _TAG.sub(" ", text)
    found = _AGENCY.sub("", _DATELINE.sub("", found))
    for pattern, character in _ENTITIES:
        found = pattern.sub(character, found)
    return " ".join(found.split()) or text
