"""What goes wrong with Pub/Sub: what heals by itself is waited out, what does not ends the pipeline."""

from __future__ import annotations

import logging

from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from transforms import patience
from transforms.failures import PipelineFailure

log = logging.getLogger("newsbeam.pubsub")

_HEALING = (
    exceptions.Aborted,
    exceptions.DeadlineExceeded,
    exceptions.GatewayTimeout,
    exceptions.InternalServerError,
    exceptions.ResourceExhausted,
    exceptions.RetryError,
    exceptions.ServiceUnavailable,
    exceptions.TooManyRequests,
    exceptions.Unknown,
    OSError,
)
#: Everything that a call may raise.
ERRORS = (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError, OSError)
_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.NotFound, "it does not exist"),
    (exceptions.PermissionDenied, "no permission"),
    (exceptions.Unauthenticated, "the credentials are not accepted"),
    (DefaultCredentialsError, "no credentials: run `gcloud auth application-default login`, or set "
     "GOOGLE_APPLICATION_CREDENTIALS"),
)  # fmt: skip


class PubSubFailure(PipelineFailure):
    """Pub/Sub refuses what was asked, and will again."""


def heals(error: BaseException) -> bool:
    """Whether an error may go away by itself."""
    if isinstance(error, GoogleAuthError):
        return bool(getattr(error, "retryable", False))
    return isinstance(error, _HEALING)


def said(error: BaseException) -> str:
    """An error in one line of plain words."""
    text = " ".join(str(getattr(error, "message", "") or error).split())
    for kind, words in _KINDS:
        if isinstance(error, kind):
            return words if kind is DefaultCredentialsError else f"{words} ({text})"
    return text or type(error).__name__


class Patience(patience.Patience):
    """Waits out one kind of trouble with Pub/Sub."""

    log = log
    said = staticmethod(said)
