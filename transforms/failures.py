"""Failures that end the pipeline, told in one line whichever runner wraps them.

Runners hand an error of a step on in ways of their own: as it is, or as the text of a traceback from
another thread. Local runners work in the process of the command line, so the failure is also noted
here, where the command line finds it.
"""

from __future__ import annotations

import threading


class PipelineFailure(RuntimeError):
    """Something that trying again can't mend. Its message is one line: what, and the fix.

    Attributes:
        exit_code: What the command line ends with.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        global _first
        with _lock:
            _first = _first or self


_lock = threading.Lock()
_first: PipelineFailure | None = None


def first_failure() -> PipelineFailure | None:
    """The first failure in this process since `forget_failures`."""
    return _first


def forget_failures() -> None:
    """Begins anew, for the next pipeline in this process."""
    global _first
    with _lock:
        _first = None
