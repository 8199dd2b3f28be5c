"""What is logged, and what is not: ours, and what others say that matters."""

from __future__ import annotations

import logging
import sys
import warnings

from transforms.errors import ConfigurationError

LEVELS = ("debug", "info", "warning", "error")


class NoTraceback(logging.Filter):
    """Keeps back the tracebacks of a runner: the command line tells what made a pipeline fail.

    And what Prism tells of itself, which Beam hands on whatever the level of its logger.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info or record.name == "PrismRunner":
            return False
        return "Traceback (most recent" not in record.getMessage()


def set_up(level: str) -> None:
    """Logs to stderr.

    Beam, gRPC and Kafka's client speak of their insides at every level; below debug only their
    errors are shown, without tracebacks, and those of Kafka's client (a connection that will be tried
    again, a broker that stops after us) not even then: what ends a pipeline raises.

    Raises:
        ConfigurationError: There is no such level.
    """
    if level.lower() not in LEVELS:
        raise ConfigurationError(f"--log_level {level!r} is unknown: give {', '.join(LEVELS)}")
    number = getattr(logging, level.upper())
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.ERROR, force=True
    )
    logging.getLogger("newsbeam").setLevel(number)
    if number == logging.DEBUG:
        logging.getLogger().setLevel(logging.INFO)
    else:
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        for handler in logging.getLogger().handlers:
            handler.addFilter(NoTraceback())
        if not sys.warnoptions:  # nobody asked for Python's own warnings: they are for programmers
            warnings.simplefilter("ignore")
