"""What is logged, and what is not: ours, and what others say that matters; as text, or as JSON."""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from transforms.errors import ConfigurationError

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")

#: What each record has; whatever else it has was given as `extra`.
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}

_json = False


class NoTraceback(logging.Filter):
    """Keeps back the tracebacks of a runner: the command line tells what made a pipeline fail.

    And what Prism tells of itself, which Beam hands on whatever the level of its logger.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info or record.name == "PrismRunner":
            return False
        return "Traceback (most recent" not in record.getMessage()


class JsonLines(logging.Formatter):
    """A record as an object of one line: time, level, logger, message, and what was given as `extra`.

    A traceback is the field `exception`: no line of a log is ever anything else than an object.
    """

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _OWN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        # What surrogates stand for can't be written; escapes can.
        return json.dumps(line, default=str)


def is_json() -> bool:
    """Whether the log is JSON: then nothing else may be written to stderr."""
    return _json


def tell(text: str, level: int = logging.ERROR) -> None:
    """Says something to the user, on stderr: a line, or in a log of JSON an object of it."""
    if _json:
        logging.getLogger("newsbeam").log(level, "%s", text)
    else:
        print(f"newsbeam: {text}", file=sys.stderr)


def tell_as_asked(arguments: Sequence[str]) -> None:
    """Has what is wrong with a command line of `run` be told in the format that it asks for.

    It is asked for in there, where nobody could read it, or in the environment.
    """
    global _json
    if list(arguments[:1]) != ["run"]:
        return
    asked = os.environ.get("NEWSBEAM_LOG_FORMAT", "")
    for each, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, given, value = each.partition("=")
        if name == "--log_format":
            asked = value if given else following
    if asked.lower() == "json":
        _json = True
        _begin()


def set_up(level: str, format: str = "text") -> None:
    """Logs to stderr.

    Beam, gRPC and Kafka's client speak of their insides at every level; below debug only their
    errors are shown, without tracebacks, and those of Kafka's client (a connection that will be tried
    again, a broker that stops after us) not even then: what ends a pipeline raises.

    Args:
        level: One of `LEVELS`.
        format: One of `FORMATS`.

    Raises:
        ConfigurationError: There is no such level, or format.
    """
    global _json
    if format.lower() not in FORMATS:
        raise ConfigurationError(f"--log_format {format!r} is unknown: give {', '.join(FORMATS)}")
    # Before the level is looked at: that there is none is told in this format.
    _json = format.lower() == "json"
    _begin()
    if level.lower() not in LEVELS:
        raise ConfigurationError(f"--log_level {level!r} is unknown: give {', '.join(LEVELS)}")
    number = getattr(logging, level.upper())
    logging.getLogger("newsbeam").setLevel(number)
    if number == logging.DEBUG:
        logging.getLogger().setLevel(logging.INFO)
    else:
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        for handler in logging.getLogger().handlers:
            handler.addFilter(NoTraceback())
        if not sys.warnoptions:  # nobody asked for Python's own warnings: they are for programmers
            warnings.simplefilter("ignore")


def _begin() -> None:
    """Logs errors, in the format that was asked for."""
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.ERROR, force=True
    )
    if _json:
        _only_json()


def _only_json() -> None:
    """Makes objects of all that Python would write to stderr by itself."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines())
    logging.captureWarnings(True)
    log = logging.getLogger("newsbeam")

    def uncaught(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            log.critical("%s: %s", kind.__name__, error, extra=_traceback(kind, error, traceback))

    def uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            uncaught(args.exc_type, args.exc_value, args.exc_traceback)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread


def _traceback(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> dict[str, str]:
    """A traceback as a field: as one of the record it would be kept back."""
    return {"exception": JsonLines().formatException((kind, error, traceback))}
