"""Which dead letters: by stage, error, time and how often they have failed."""

from __future__ import annotations

import datetime
import re
from typing import Annotated

from models.settings import Option, settings
from transforms.dates import moment_of
from transforms.errors import ConfigurationError
from transforms.records import DeadLetter, now

_AGO = re.compile(r"([0-9]{1,9})\s*(s|m|min|h|d|w)")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


@settings(panel="Which dead letters")
class WhichLetters:
    """Which dead letters are meant: those that are all of this."""

    stage: Annotated[
        tuple[str, ...],
        Option(
            "Of this stage only (ParseNews, TokenizeNews, …); may be given again for more.",
            metavar="NAME",
            repeated=True,
        ),
    ] = ()
    error_type: Annotated[
        tuple[str, ...],
        Option(
            "Of this type of error only (NotNews, …); may be given again for more.",
            metavar="NAME",
            repeated=True,
        ),
    ] = ()
    error: Annotated[
        str | None,
        Option("Only where this stands in the error, in whatever case.", metavar="TEXT"),
    ] = None
    since: Annotated[
        str | None,
        Option(
            "Only what failed then or later: a time such as 2026-01-31T12:00:00Z, or how long ago, "
            "as in 90s, 30m, 2h, 7d.",
            metavar="TIME",
        ),
    ] = None
    until: Annotated[
        str | None, Option("Only what failed before; as with --since.", metavar="TIME")
    ] = None


class Sieve:
    """Tells which dead letters are meant.

    Args:
        which: As asked.
        max_attempts: Those that have failed so often are left out, too; None leaves none out for it.
        at: The time that `2h` is counted back from; by default now.

    Raises:
        ConfigurationError: A time is none.
    """

    def __init__(
        self,
        which: WhichLetters,
        max_attempts: int | None = None,
        at: datetime.datetime | None = None,
    ) -> None:
        at = at or now()
        self._stages = {name.casefold() for name in which.stage}
        self._types = {name.casefold() for name in which.error_type}
        self._error = None if which.error is None else which.error.casefold()
        self._since = None if which.since is None else time_of("since", which.since, at)
        self._until = None if which.until is None else time_of("until", which.until, at)
        self._max_attempts = max_attempts
        if self._since and self._until and self._since >= self._until:
            raise ConfigurationError(
                f"--since {which.since!r} is not before --until {which.until!r}: nothing is between"
            )

    def left_out_by(self, letter: DeadLetter) -> str | None:
        """The flag that leaves a dead letter out; None where it is meant."""
        if self._stages and letter.stage.casefold() not in self._stages:
            return "--stage"
        if self._types and letter.error_type.casefold() not in self._types:
            return "--error_type"
        if self._error is not None and self._error not in letter.error.casefold():
            return "--error"
        if self._since is not None and letter.time < self._since:
            return "--since"
        if self._until is not None and letter.time >= self._until:
            return "--until"
        if self._max_attempts is not None and letter.attempt >= self._max_attempts:
            return "--max_attempts"
        return None


def time_of(flag: str, text: str, at: datetime.datetime) -> datetime.datetime:
    """A time as it is given on the command line.

    Args:
        flag: The option, for messages.
        text: What was given.
        at: The time that it is counted back from.

    Raises:
        ConfigurationError: It is none.
    """
    if ago := _AGO.fullmatch(text.strip()):
        try:
            return at - datetime.timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        except OverflowError:
            return datetime.datetime.min.replace(tzinfo=datetime.UTC)
    moment = moment_of(text)
    if moment is None:
        raise ConfigurationError(
            f"--{flag} {text!r} is no time: give one such as 2026-01-31T12:00:00Z, or how long ago, as "
            "in 90s, 30m, 2h, 7d"
        )
    return moment
