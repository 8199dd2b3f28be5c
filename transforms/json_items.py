r"""JSON documents: a list of items over one line or many, in an array or in an object around it.

Files of JSON lines pass through; only a file whose first line is no complete object is looked at as a
document. Items keep their own bytes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from transforms.failures import PipelineFailure

#: An item, or what should be one, ends here, in bytes.
MAX_ITEM = 64 * 1024 * 1024

_TOKENS = re.compile(rb'"(?:[^"\\\n]|\\.)*"?|[\[\]{},:]')
_TEXTS = ("title", "description", "body", "text", "headline", "content", "name")
#: What lists are called in an object that has a title of its own, as that of a feed.
_LISTS = {"items", "articles", "entries", "results", "stories", "news", "docs"}
_MOST_NESTED = 3

Line = tuple[int, bytes]


def items_of(lines: Iterable[bytes], file: str, path: str | None = None) -> Iterator[Line]:
    """The items of a file, with the numbers of the lines that they begin in.

    Args:
        lines: Its lines.
        file: Its name, for errors.
        path: Where the list stands in a document: `articles`, `response.docs`; behind a list it
            goes on in each item, as in `features.properties`. None takes arrays at the top, or a
            record a line.

    Raises:
        PipelineFailure: The file is one document with its list in a field, and `path` doesn't name
            it; or there is no list at `path`.
    """
    numbered = ((n, line) for n, line in enumerate(lines, 1) if line.strip())
    if path is not None:
        yield from _at_path(numbered, file, path.split("."))
        return
    first = next(numbered, None)
    while first is not None:
        text = first[1].strip()
        whole = _decoded(text)
        remedy = _remedy(whole)
        if isinstance(whole, dict) and not remedy:
            yield first
            yield from numbered
            return
        begins = text[:1] == b"[" and isinstance(whole, list)
        # Only where it matters: the next line of a pipe may be long in coming.
        second = None if begins or text[:1] not in {b"[", b"{"} else next(numbered, None)
        if remedy and second is None:
            raise PipelineFailure(f"{file} is {remedy}")
        rest = itertools.chain([first], [second] if second else [], numbered)
        if not begins and (remedy or not _goes_on(text, second)):
            yield from rest
            return
        scanner = _Scanner(rest, [])
        yield from scanner.items() if text[:1] == b"[" else _pretty(scanner, file)
        first = scanner.left()


def _goes_on(text: bytes, second: Line | None) -> bool:
    """Whether a line begins a document that goes on in the next, and is no damaged record."""
    after = second[1].lstrip()[:1] if second else b""
    if text[:1] not in {b"[", b"{"} or not after:
        return False
    closes = {b",", b"]"} if text[:1] == b"[" else {b",", b'"'}
    return text[-1:] in {b"[", b"{", b","} or after in closes


def _pretty(scanner: _Scanner, file: str) -> Iterator[Line]:
    """An object over many lines: a record, or something around records."""
    for number, value in scanner.whole():
        if remedy := _remedy(_decoded(value)):
            raise PipelineFailure(f"{file} is {remedy}")
        yield number, value


def _at_path(lines: Iterator[Line], file: str, path: Sequence[str]) -> Iterator[Line]:
    first = next(lines, None)
    if first is None:
        return
    scanner = _Scanner(itertools.chain([first], lines), path)
    yield from scanner.items()
    if not scanner.found:
        raise PipelineFailure(
            f"{file} has no list at {'.'.join(path)!r}: give --items the name of its list"
            + (f", {found!r}" if (found := _path_in(scanner.kept())) else "")
        )


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _remedy(document: Any) -> str | None:
    path = _path_in(document)
    return path and f'one JSON document with a list in "{path}": give --items {path}'


def _path_in(document: Any, depth: int = _MOST_NESTED) -> str | None:
    """Where a document that is no item itself has its list of items."""
    if not isinstance(document, dict):
        return None
    own_text = any(isinstance(document.get(name), str) for name in _TEXTS)
    for name, value in document.items():
        if "." in name:
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            if _has_text(value[0]) and (not own_text or name in _LISTS):
                return name
            for inner, nested in value[0].items():
                if own_text or "." in inner or not isinstance(nested, dict):
                    continue
                if _has_text(nested):
                    return f"{name}.{inner}"
            if not own_text:
                return name
        if depth > 1 and not own_text and (found := _path_in(value, depth - 1)):
            return f"{name}.{found}"
    return None


def _has_text(item: dict[str, Any]) -> bool:
    return any(isinstance(item.get(name), str) for name in ("title", "headline", "text"))


class _Scanner:
    """Goes through the tokens of one document, and cuts the items of its list out."""

    def __init__(self, lines: Iterator[Line], path: Sequence[str]) -> None:
        self._lines = lines
        self._path = list(path)
        self._kept: list[bytes] = []
        self._size = 0
        self._left: Line | None = None
        #: How many names of the path lead to the list; the others lead on in each item.
        self._outer = 0
        self.found = False

    def left(self) -> Line | None:
        """What comes after the document."""
        return self._left or next(self._lines, None)

    def kept(self) -> Any:
        """The document without its end, where no list was found: as much of it as is whole."""
        return _decoded(b"".join(self._kept))

    def whole(self) -> Iterator[Line]:
        """The document as one item; its lines, each for itself, where it has no end."""
        kept: list[Line] = []
        depth = size = 0
        for number, line in self._lines:
            for token in _TOKENS.finditer(line):
                depth += (token[0] in b"[{") - (token[0] in b"]}")
                if depth == 0:
                    kept.append((number, line[: token.end()]))
                    if rest := line[token.end() :].strip():
                        self._left = number, rest
                    yield kept[0][0], b"".join(part for _, part in kept)
                    return
            kept.append((number, line))
            size += len(line)
            if size > MAX_ITEM:
                break
        yield from kept

    def items(self) -> Iterator[Line]:
        """The items of the list at the path; what has no end, as it is."""
        # The containers that we are in, each with the name of its current field, or None in a list.
        stack: list[list[Any]] = []
        key: bytes | None = None
        depth = -1  # that of the list's items, while we are in it
        item: list[bytes] = []
        begin = size = 0
        for number, line in self._lines:
            at = 0
            if depth < 0 and self._size < MAX_ITEM:
                self._kept.append(line)
                self._size += len(line)
            for token in _TOKENS.finditer(line):
                mark = token[0]
                here = len(stack) == depth
                if here and mark in b",]":
                    item.append(line[at : token.start()])
                    yield from self._item(begin or number, b"".join(item))
                    item, begin, size, at = [], 0, 0, token.end()
                elif here and not begin:
                    begin = number
                if mark in (b"{", b"["):
                    stack.append([mark, None])
                    if mark == b"[" and depth < 0 and self._is_here(stack):
                        self.found, depth, at = True, len(stack), token.end()
                        item, begin = [], 0
                elif mark in (b"}", b"]"):
                    if stack:
                        stack.pop()
                    if len(stack) < depth:
                        depth = -1
                    if not stack:
                        if rest := line[token.end() :].strip():
                            self._left = number, rest
                        return
                elif mark == b":":
                    if stack:
                        stack[-1][1] = key
                elif mark != b",":
                    key = mark
            if depth >= 0:
                if not begin and line[at:].strip():
                    begin = number
                item.append(line[at:])
                size += len(line)
                if size > MAX_ITEM:
                    yield from self._item(begin, b"".join(item))
                    item, begin, size = [], 0, 0
        if depth >= 0:
            yield from self._item(begin, b"".join(item))

    def _is_here(self, stack: Sequence[Sequence[Any]]) -> bool:
        """Whether the list that begins is the one at the path, or at the beginning of it."""
        outer = stack[:-1]
        names = [_name(frame[1]) for frame in outer if frame[0] == b"{"]
        if len(names) != len(outer) or names != self._path[: len(names)]:
            return False
        self._outer = len(names)
        return bool(names) or not self._path

    def _item(self, number: int, value: bytes) -> Iterator[Line]:
        value = value.strip()
        if not value:
            return
        for name in self._path[self._outer :]:
            try:
                value = bytes(msgspec.json.decode(value, type=dict[str, msgspec.Raw])[name])
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
                break
        yield number, value


def _name(key: bytes | None) -> str | None:
    found = _decoded(key or b"")
    return found if isinstance(found, str) else None
