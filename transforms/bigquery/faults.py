"""What goes wrong with BigQuery: what heals by itself is waited out, what does not ends the pipeline."""

from __future__ import annotations

import logging

from apache_beam.utils.retry import PermanentException
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from requests.exceptions import SSLError

from transforms import patience
from transforms.failures import PipelineFailure

log = logging.getLogger("newsbeam.bigquery")

#: Everything that a call may raise; errors of the connection are OSErrors.
ERRORS = (exceptions.GoogleAPICallError, exceptions.RetryError, GoogleAuthError, OSError)
#: Why BigQuery did not take something that it may take later: of a request, and of a row.
TRANSIENT = {
    "backendError",
    "badGateway",
    "internalError",
    "quotaExceeded",
    "rateLimitExceeded",
    # What the good rows of a request get, where bad ones are among them.
    "stopped",
    "timeout",
}


class BigQueryFailure(PipelineFailure, PermanentException):
    """BigQuery refuses what was asked, and will again: Beam, too, is told not to try."""


def heals(error: BaseException) -> bool:
    """Whether an error may go away by itself."""
    if isinstance(error, GoogleAuthError):
        return isinstance(error, TransportError) or bool(getattr(error, "retryable", False))
    if isinstance(error, exceptions.GoogleAPICallError):
        reasons = {each.get("reason") for each in error.errors if isinstance(each, dict)}
        return error.code in {408, 429} or error.code >= 500 or bool(reasons & TRANSIENT)
    return not isinstance(error, SSLError)


def said(error: BaseException) -> str:
    """An error in one line of plain words."""
    if isinstance(error, DefaultCredentialsError):
        return (
            "no credentials: run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS"
        )
    if isinstance(error, exceptions.RetryError) and error.cause is not None:
        return said(error.cause)
    if isinstance(error, OSError) and not isinstance(error, exceptions.GoogleAPICallError):
        return f"no connection ({type(error).__name__})"
    text = " ".join(str(getattr(error, "message", "") or error).split())
    # The client puts method and address before what the service says.
    return text.partition("?prettyPrint=false: ")[2] or text or type(error).__name__


class Patience(patience.Patience):
    """Waits out one kind of trouble with BigQuery."""

    log = log
    said = staticmethod(said)
