"""What heals, what does not, and how it is said."""

from __future__ import annotations

import pytest
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError

from transforms.pubsub.faults import heals, said


@pytest.mark.parametrize(
    ("error", "so"),
    [
        (exceptions.ServiceUnavailable("x"), True),
        (exceptions.DeadlineExceeded("x"), True),
        (exceptions.ResourceExhausted("x"), True),
        (exceptions.Aborted("x"), True),
        (exceptions.InternalServerError("x"), True),
        (ConnectionError("x"), True),
        (TransportError("x", retryable=True), True),
        (RefreshError("x"), False),
        (DefaultCredentialsError("x"), False),
        (exceptions.NotFound("x"), False),
        (exceptions.PermissionDenied("x"), False),
        (exceptions.InvalidArgument("x"), False),
        (exceptions.FailedPrecondition("x"), False),
        (ValueError("x"), False),
    ],
    ids=lambda e: type(e).__name__ if isinstance(e, Exception) else "",
)
def test_what_heals(error: Exception, so: bool) -> None:
    assert heals(error) is so


def test_words() -> None:
    assert said(exceptions.NotFound("Subscription\nnot found")) == (
        "it does not exist (Subscription not found)"
    )
    assert said(exceptions.PermissionDenied("x")) == "no permission (x)"
    assert "gcloud auth application-default login" in said(DefaultCredentialsError("x"))
    assert said(ConnectionError()) == "ConnectionError"
