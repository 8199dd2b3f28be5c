"""Cleaning up a text before it is tokenized: Spark NLP's DocumentAssembler's modes, and HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser

_BREAKS = re.compile(r"[\r\n\t\v\f\x85\u2028\u2029]+")
_WRITTEN_BREAKS = re.compile(r"(?:\\[rnt])+")
#: In `\\new` AG News means a break and `new`.
_BREAKS_BEFORE_NO_WORD = re.compile(r"(?:\\[rnt])+(?![a-z])")
_SPACES = re.compile(r"\s+")
#: Entities whose `&` was lost, as in AG News: a space stands there instead.
_BARE_ENTITY = re.compile(
    r" ?(?<![&;\w])(#[0-9]{2,5}|#[xX][0-9a-fA-F]{2,4}|quot|amp|lt|gt|apos|nbsp);"
)
#: A `<` that begins no tag, as in `a < b`, `I <3 it`.
_NO_TAG = re.compile(r"<(?!/?[a-zA-Z][^<>]*>|!--)")
#: Tags with which words end; the others may stand within one.
_INLINE = {
    "a",
    "b",
    "i",
    "u",
    "em",
    "strong",
    "span",
    "font",
    "sup",
    "sub",
    "small",
    "mark",
    "abbr",
}
_HIDDEN = {"script", "style"}


class _Text(HTMLParser):
    """The text between the tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _HIDDEN
        if tag not in _INLINE:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN and self._hidden:
            self._hidden -= 1
        if tag not in _INLINE:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def _inplace(text: str) -> str:
    return _BREAKS.sub(" ", text)


def _inplace_full(text: str) -> str:
    return _BREAKS.sub(" ", _WRITTEN_BREAKS.sub(" ", text))


def _shrink(text: str) -> str:
    return _SPACES.sub(" ", text).strip()


def _shrink_full(text: str) -> str:
    return _shrink(_WRITTEN_BREAKS.sub(" ", text))


def _html(text: str) -> str:
    # Feeds encode twice, or more: `&amp;lt;b&amp;gt;`. Each round makes the text shorter.
    while (cleaned := _html_once(text)) != text:
        text = cleaned
    return text


def _html_once(text: str) -> str:
    text = _BREAKS_BEFORE_NO_WORD.sub(" ", text).replace("\\", " ")
    if "&" in text or ";" in text:
        text = html.unescape(_BARE_ENTITY.sub(r"&\1;", text))
    if "<" in text:
        parser = _Text()
        # What looks like an entity by now goes through the next round.
        parser.feed(_NO_TAG.sub("&lt;", text.replace("&", "&amp;")))
        parser.close()
        text = "".join(parser.parts)
    return _shrink(text)


#: By name: `disabled` leaves the text as it is; `inplace` makes line breaks and tabs spaces; `shrink`
#: also makes runs of spaces one; the `_full` ones also take breaks that are written out (`\\n`);
#: `html` drops tags, resolves entities (`&quot;`, AG News' ` #39;`), and shrinks; backslashes, with
#: which AG News writes line breaks, become spaces.
CLEAN_UPS: dict[str, Callable[[str], str]] = {
    "disabled": lambda text: text,
    "inplace": _inplace,
    "inplace_full": _inplace_full,
    "shrink": _shrink,
    "shrink_full": _shrink_full,
    "html": _html,
}


def clean_up_named(name: str) -> Callable[[str], str]:
    """The clean-up of that name.

    Raises:
        ValueError: There is none; the message names the choices.
    """
    if name not in CLEAN_UPS:
        raise ValueError(f"text_clean_up={name!r} is unknown: give one of {', '.join(CLEAN_UPS)}")
    return CLEAN_UPS[name]
