"""Acknowledging and extending: what is tried again, and what is told."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions

from tests.unit.transforms.pubsub.stubs import Client, Settings, exactly_once_error
from transforms.pubsub import faults
from transforms.pubsub.calls import IDS_A_CALL, Calls


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults.Patience, "wait", lambda *_: None)


def calls(client: Client) -> Calls:
    return Calls(Settings(client), "projects/p/subscriptions/s")  # type: ignore[arg-type]


def failing(*errors: Exception) -> Any:
    left = list(errors)

    def answer(**_: Any) -> None:
        if left:
            raise left.pop(0)

    return answer


def asked(client: Client) -> list[list[str]]:
    return [list(given["ack_ids"]) for _, given in client.calls]


def test_many_ids_are_several_calls() -> None:
    client = Client()
    ids = [str(i) for i in range(2 * IDS_A_CALL + 1)]
    assert calls(client).acknowledge(ids) == {}
    assert [len(part) for part in asked(client)] == [IDS_A_CALL, IDS_A_CALL, 1]
    assert [i for part in asked(client) for i in part] == ids
    assert calls(client).acknowledge([]) == {}
    assert len(client.calls) == 3


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ServiceUnavailable("x"),
        exceptions.DeadlineExceeded("x"),
        exceptions.ResourceExhausted("x"),
        exceptions.Aborted("x"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_what_heals_is_waited_out(error: Exception) -> None:
    client = Client(acknowledge=failing(error, error))
    assert calls(client).acknowledge(["a", "b"]) == {}
    assert asked(client) == [["a", "b"]] * 3


@pytest.mark.parametrize(
    "error", [exceptions.NotFound("x"), exceptions.PermissionDenied("x")], ids=["gone", "denied"]
)
def test_what_does_not_heal_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        calls(Client(acknowledge=failing(error))).acknowledge(["a"])


def test_exactly_once_what_may_heal_is_tried_again_and_what_may_not_is_told() -> None:
    error = exactly_once_error(
        {
            "b": "TRANSIENT_FAILURE_UNORDERED_ACK_ID",
            "c": "PERMANENT_FAILURE_INVALID_ACK_ID",
        }
    )
    client = Client(acknowledge=failing(error))
    assert calls(client).acknowledge(["a", "b", "c"]) == {"c": "PERMANENT_FAILURE_INVALID_ACK_ID"}
    assert asked(client) == [["a", "b", "c"], ["b"]]


def test_leases_that_have_ended_are_told() -> None:
    error = exactly_once_error({"a": "PERMANENT_FAILURE_INVALID_ACK_ID", "b": "TRANSIENT_X"})
    client = Client(modify_ack_deadline=failing(error))
    assert calls(client).extend(["a", "b", "c"], 60.0) == {"a": "PERMANENT_FAILURE_INVALID_ACK_ID"}
    assert client.calls[0][1]["ack_deadline_seconds"] == 60


def test_extending_fails_at_once_and_giving_back_never() -> None:
    error = exceptions.ServiceUnavailable("x")
    with pytest.raises(exceptions.ServiceUnavailable):
        calls(Client(modify_ack_deadline=failing(error))).extend(["a"], 60.0)
    client = Client(modify_ack_deadline=failing(error))
    calls(client).give_back(["a"])
    assert client.calls[0][1]["ack_deadline_seconds"] == 0


@pytest.mark.parametrize(
    ("error", "answered"),
    [
        (None, True),
        (exceptions.PermissionDenied("x"), True),
        (exceptions.ServiceUnavailable("x"), False),
        (exceptions.DeadlineExceeded("x"), False),
    ],
)
def test_whether_somebody_answers(error: Exception | None, answered: bool) -> None:
    client = Client(get_subscription=failing(*([error] if error else [])))
    assert calls(client).answered() is answered
