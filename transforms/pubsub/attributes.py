"""What a record has, as Pub/Sub has it, and back: both ways without loss, but for the order of headers.

A value is the data. Where there is none (a Kafka tombstone), there is no data, and the attribute
`newsbeam.value` is `null`.

A header is an attribute, if its value is UTF-8, no other header has its name, and neither Pub/Sub nor
newsbeam has a use of its own for the name. Any other header is the attribute `newsbeam.header.N.NAME`, N
counting from 0, and holds `text:` or `base64:` and the value, or `null`.

A key is the attribute `newsbeam.key`: `text:` or `base64:` and the key. Where keys are ordering keys, it
is the ordering key; one that can't be, as it is, is there as base64, and in the attribute too.

Attributes have no order: what is read back has those of their own names first, by name, then the others
as they were.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

from transforms.records import HEADER_PREFIX, Headers

#: What Pub/Sub takes: of attributes how many, and of each the name and the value, in bytes; of an
#: ordering key, in bytes; of all of a message, in bytes.
MAX_ATTRIBUTES = 100
MAX_NAME = 256
MAX_VALUE = 1024
MAX_ORDERING_KEY = 1024
MAX_MESSAGE = 10_000_000

VALUE = HEADER_PREFIX + "value"
KEY = HEADER_PREFIX + "key"
TIMESTAMP = HEADER_PREFIX + "timestamp"
#: Headers that can't be attributes of their own names.
HEADER = HEADER_PREFIX + "header."
_INDEXED = re.compile(re.escape(HEADER) + r"([0-9]{1,9})\.(.*)", re.DOTALL)
_NULL = "null"
#: Pub/Sub keeps names that begin so to itself.
_RESERVED = "goog"


class Content(NamedTuple):
    """What a record has that Pub/Sub carries.

    Attributes:
        value: Its bytes; None is a tombstone.
        key: Its key.
        headers: Its headers.
        timestamp: Its own time, in milliseconds since the epoch, where newsbeam has kept it.
    """

    value: bytes | None
    key: bytes | None
    headers: Headers
    timestamp: int | None = None


class Carried(NamedTuple):
    """What Pub/Sub carries of it."""

    data: bytes
    attributes: dict[str, str]
    ordering_key: str


def to_attributes(
    content: Content, *, ordering: bool = False, taken: Collection[str] = ()
) -> Carried:
    """How Pub/Sub carries a record.

    Args:
        content: The record.
        ordering: Whether its key is an ordering key.
        taken: Names of attributes that others have: headers of these names are carried as those of
            which there are several.
    """
    attributes = header_attributes(content.headers, taken)
    ordering_key = ""
    if content.key is not None:
        text = _utf8(content.key)
        if ordering:
            whole = text is not None and 0 < len(content.key) <= MAX_ORDERING_KEY
            ordering_key = text if whole and text else base64.b64encode(content.key).decode()
            # A longer one is of no use in part: such keys would share their order.
            ordering_key = ordering_key if len(ordering_key.encode()) <= MAX_ORDERING_KEY else ""
            if not whole:
                attributes[KEY] = _said(content.key)
        else:
            attributes[KEY] = _said(content.key)
    if content.value is None:
        attributes[VALUE] = _NULL
    if content.timestamp is not None:
        attributes[TIMESTAMP] = str(content.timestamp)
    return Carried(content.value or b"", attributes, ordering_key)


def from_attributes(data: bytes, attributes: Mapping[str, str], ordering_key: str) -> Content:
    """The record that Pub/Sub carries; any message is one."""
    plain: list[tuple[str, bytes | None]] = []
    indexed: list[tuple[int, str, bytes | None]] = []
    key = ordering_key.encode() or None
    value: bytes | None = data
    timestamp = None
    for name in sorted(attributes):
        text = attributes[name]
        try:
            if found := _INDEXED.fullmatch(name):
                indexed.append((int(found[1]), found[2], _meant(text)))
            elif name == KEY:
                key = _meant(text)
            elif name == VALUE and text == _NULL and not data:
                value = None
            elif name == TIMESTAMP and re.fullmatch("[0-9]{1,18}|[0-8][0-9]{18}", text):
                timestamp = int(text)
            else:
                plain.append((name, text.encode()))
        except ValueError:  # anyone can write attributes
            plain.append((name, text.encode()))
    indexed.sort(key=lambda header: header[0])
    headers = (*plain, *((name, header) for _, name, header in indexed))
    return Content(value, key, headers, timestamp)


def header_attributes(headers: Headers, taken: Collection[str] = ()) -> dict[str, str]:
    """How Pub/Sub carries headers."""
    counts = Counter(name for name, _ in headers)
    attributes: dict[str, str] = {}
    for n, (name, value) in enumerate(headers):
        text = None if value is None else _utf8(value)
        if text is None or counts[name] > 1 or name in taken or not _is_plain(name):
            attributes[f"{HEADER}{n}.{name}"] = _NULL if value is None else _said(value)
        else:
            attributes[name] = text
    return attributes


def _is_plain(name: str) -> bool:
    if name in {KEY, VALUE, TIMESTAMP} or _INDEXED.fullmatch(name):
        return False
    return bool(name) and not name.startswith(_RESERVED)


def excess(carried: Carried) -> str | None:
    """Which limit of Pub/Sub a message exceeds, if one."""
    attributes = carried.attributes
    if not carried.data and not attributes:
        return "it has neither data nor attributes"
    if len(attributes) > MAX_ATTRIBUTES:
        return f"it has {len(attributes)} attributes, and may have {MAX_ATTRIBUTES}"
    for name, value in attributes.items():
        if len(name.encode()) > MAX_NAME:
            return f"the name of its attribute {name[:40]!r}… has more than {MAX_NAME} bytes"
        if len(value.encode()) > MAX_VALUE:
            return f"its attribute {name!r} has more than {MAX_VALUE} bytes"
    size = size_of(carried)
    if size > MAX_MESSAGE:
        return f"it has {size} bytes, and may have {MAX_MESSAGE}"
    return None


def size_of(carried: Carried) -> int:
    """The size of a message, in bytes, as Pub/Sub counts it."""
    attributes = sum(len(n.encode()) + len(v.encode()) for n, v in carried.attributes.items())
    return len(carried.data) + len(carried.ordering_key.encode()) + attributes


def _utf8(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _said(data: bytes) -> str:
    text = _utf8(data)
    return f"base64:{base64.b64encode(data).decode()}" if text is None else f"text:{text}"


def _meant(text: str) -> bytes | None:
    if text == _NULL:
        return None
    kind, _, rest = text.partition(":")
    if kind == "text":
        return rest.encode()
    if kind == "base64":
        try:
            return base64.b64decode(rest, validate=True)
        except binascii.Error as e:
            raise ValueError(text) from e
    raise ValueError(text)
