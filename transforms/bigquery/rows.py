"""Outcomes as rows, as the JSON that BigQuery takes; and ids by which it knows a row again."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from transforms.identities import identity
from transforms.records import CategorizedItem, DeadLetter, Headers, Message, Outcome

#: How large a dead letter may be as JSON, in bytes: BigQuery takes rows of 10 MB.
LARGEST_LETTER = 7 << 20
#: How large its headers, and its key, may be where it is larger than that.
_LARGEST_HEADERS = 1 << 19
#: Integers that JSON in BigQuery can't hold exactly, and would be refused for.
_LEAST, _MOST = -(2**63), 2**64 - 1
_MOST_EXACT = 2**53 - 1
_LONG_NUMBER = re.compile(rb"[0-9]{19}")


def to_row(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a row of its table; see `schema` for the columns.

    Raises:
        ValueError: It can't be one: a text of it is none that UTF-8 can express.
    """
    if isinstance(outcome, DeadLetter):
        return _letter_row(outcome)
    return _item_row(outcome)


def size_of(row: dict[str, Any]) -> int:
    """How large a row is as JSON, in bytes."""
    return len(msgspec.json.encode(row))


def insert_id(outcome: Outcome) -> str | None:
    """An id that is the same whenever the same is written again; None for what has no place.

    BigQuery drops rows of an id that it has seen in the last minute or so, as well as it can: those of
    others, too, who write to the table.
    """
    found = identity(outcome)
    return None if found is None else found.hex()


def _item_row(item: CategorizedItem) -> dict[str, Any]:
    message = item.message or Message(None)
    return {
        "key": _plain(message.key),
        "headers": _headers(message.user_headers),
        "id": item.id,
        "category": item.category,
        "score": item.score,
        "scores": [{"label": label, "score": score} for label, score in item.scores.items()],
        "labels": list(item.labels),
        "tokens": item.tokens,
        "truncated": item.truncated,
        "model": item.model,
        "event_time": _plain(item.event_time),
        "processed_time": _plain(item.processed_time),
        "source": _json(item.source),
        "fields": _json(item.fields),
    }


def _letter_row(letter: DeadLetter) -> dict[str, Any]:
    message = letter.message
    row = {
        "value": _plain(message.value),
        "key": _plain(message.key),
        "headers": _headers(message.user_headers),
        "timestamp": _integer(message.timestamp),
        "source": _json(message.source),
        "columns": list(message.columns or ()),
        "delimiter": message.delimiter,
        "stage": letter.stage,
        "error_type": letter.error_type,
        "error": letter.error,
        "attempt": letter.attempt,
        "time": _plain(letter.time),
        "model": letter.model,
    }
    return row if size_of(row) <= LARGEST_LETTER else _cut(row, message)


def _cut(row: dict[str, Any], message: Message) -> dict[str, Any]:
    """The row of a dead letter that fits: headers and key are dropped, the value is cut."""
    said = row["error"]
    for name, limit, least in (("headers", _LARGEST_HEADERS, []), ("key", _LARGEST_HEADERS, None)):
        if len(msgspec.json.encode(row[name])) > limit:
            row |= {name: least, "error": (said := f"{said} ({name} left out: too large)")}
    over = size_of(row) - LARGEST_LETTER
    if over > 0:
        value = message.value or b""
        # Four characters of base64 for three bytes; and room for what is said of it.
        kept = value[: max(0, len(value) - (over * 3 + 3) // 4 - 256)]
        said = f"{said} (value cut: it has {len(value)} bytes)"
        row |= {"value": _plain(kept), "error": said}
    return row


def _integer(value: int | None) -> int | str | None:
    """As text where a double, for which numbers in JSON may be taken, can't hold it."""
    return value if value is None or abs(value) <= _MOST_EXACT else str(value)


def _plain(value: Any) -> Any:
    """Bytes as base64, times as text."""
    return msgspec.to_builtins(value)


def _headers(headers: Headers) -> list[dict[str, Any]]:
    return [{"name": name, "value": _plain(value)} for name, value in headers]


def _json(value: Any) -> str | None:
    """What a column of JSON is given: text, in which integers of any size can be held."""
    if value is None:
        return None
    encoded = msgspec.json.encode(value)
    if _LONG_NUMBER.search(encoded):
        encoded = msgspec.json.encode(_narrow(value))
    return encoded.decode()


def _narrow(value: Any) -> Any:
    """The same, with integers of more than 64 bits as text."""
    if isinstance(value, dict):
        return {name: _narrow(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_narrow(each) for each in value]
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        return str(value)
    return value
