"""Times as news items carry them: ISO 8601, RFC 2822, digits in a row, and since the epoch."""

from __future__ import annotations

import datetime
import email.utils
import math
import re
from typing import Any

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
#: A number from here on is a time since the epoch (1973, in seconds): a year, say, is none.
_LEAST = 100_000_000
#: From which number on it counts milliseconds, microseconds, nanoseconds: 5138 in the unit before.
_UNITS = ((10**17, 10**9), (10**14, 10**6), (10**11, 10**3), (0, 1))
_FIRST_YEAR, _LAST_YEAR = 1900, 2200
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
#: `20240403`, `202404031000`, `20240403100000`.
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
#: What RFC 2822 and ISO 8601 leave out.
_FORMATS = (
    "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S",
    "%d %B %Y", "%d %b %Y", "%B %d, %Y", "%b %d, %Y",
    "%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y",
)  # fmt: skip
_SPACED_ZONE = re.compile(r"\s*(?:UTC|GMT|Z)$", re.IGNORECASE)
_SPACED_OFFSET = re.compile(r"\s+(?=[+-][0-9]{2}:?[0-9]{2}$)")
#: The zones of RFC 2822; of others email.utils makes UTC, which would be a wrong time.
_NAMED_ZONE = re.compile(r"[A-Za-z]{2,5}$")
_KNOWN_ZONES = {"UT", "UTC", "GMT", "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT"}


def moment_of(value: Any) -> datetime.datetime | None:
    """The time that a field says, in UTC; without a zone it is taken for UTC.

    Returns:
        None where it says none, or one that news can't have: before 1900, after 2200.
    """
    try:
        moment = _moment(value)
        if moment is None:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        moment = moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return moment if _FIRST_YEAR <= moment.year < _LAST_YEAR else None


def _moment(value: Any) -> datetime.datetime | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _digits(str(value)) if isinstance(value, int) else _since_epoch(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if _NUMBER.fullmatch(text):
        return _digits(text)
    try:
        return datetime.datetime.fromisoformat(
            _SPACED_OFFSET.sub("", _SPACED_ZONE.sub("+00:00", text))
        )
    except ValueError:
        pass
    zone = _NAMED_ZONE.search(text)
    if zone is None or zone[0].upper() in _KNOWN_ZONES:
        try:
            return email.utils.parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            pass
    for form in _FORMATS:
        try:
            return datetime.datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def _digits(text: str) -> datetime.datetime | None:
    """A time in digits alone: a date and a time in a row, or a number since the epoch."""
    form = _COMPACT.get(len(text)) if text.isdigit() else None
    if form and text[:2] in {"19", "20", "21"}:
        try:
            return datetime.datetime.strptime(text, form)
        except ValueError:
            pass
    return _since_epoch(int(text) if text.lstrip("+-").isdigit() else float(text))


def _since_epoch(number: float) -> datetime.datetime | None:
    if not math.isfinite(number) or number < _LEAST:
        return None
    unit = next(unit for least, unit in _UNITS if number >= least)
    whole, rest = divmod(number, unit)
    return _EPOCH + datetime.timedelta(seconds=int(whole), microseconds=int(rest * 10**6 / unit))
