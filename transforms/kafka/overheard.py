"""What kafka-python tells its log, and not in its errors: why it can't connect, without secrets."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from kafka.errors import KafkaTimeoutError


class _Overhear(logging.Handler):
    def __init__(self, errors: list[Exception]) -> None:
        super().__init__(logging.WARNING)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        found = record.args.values() if isinstance(record.args, dict) else record.args or ()
        # That time is up is known: why is what matters.
        self._errors += [
            e for e in found if isinstance(e, Exception) and not isinstance(e, KafkaTimeoutError)
        ]


class _HideConfiguration(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not (isinstance(record.args, dict) and "bootstrap_servers" in record.args)


# It logs all of its configuration for debugging, passwords included.
logging.getLogger("kafka.admin.client").addFilter(_HideConfiguration())


class _Speaking:
    """Has kafka-python's log speak while somebody listens, to nobody who would not hear it else.

    All shards may connect at once: the first to listen changes the logger, the last restores it.
    """

    def __init__(self) -> None:
        self.logger = logging.getLogger("kafka.net.manager")
        self._lock = threading.Lock()
        self._listeners = 0
        self._before = (self.logger.level, self.logger.propagate)

    def __enter__(self) -> logging.Logger:
        with self._lock:
            if not self._listeners:
                self._before = (self.logger.level, self.logger.propagate)
                if not self.logger.isEnabledFor(logging.WARNING):
                    self.logger.setLevel(logging.WARNING)
                    self.logger.propagate = False
            self._listeners += 1
        return self.logger

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._listeners -= 1
            if not self._listeners:
                level, self.logger.propagate = self._before
                self.logger.setLevel(level)


_speaking = _Speaking()


@contextlib.contextmanager
def overheard() -> Iterator[list[Exception]]:
    """The errors that kafka-python logs on its way: what it raises says that time was up, not why."""
    errors: list[Exception] = []
    handler = _Overhear(errors)
    with _speaking as logger:
        logger.addHandler(handler)
        try:
            yield errors
        finally:
            logger.removeHandler(handler)
