"""What is said of subscriptions and topics that the fake doesn't know to have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, RefreshError
from google.pubsub_v1 import BigQueryConfig, CloudStorageConfig, Subscription

from tests.unit.transforms.pubsub.stubs import Client, Settings
from transforms.errors import ConfigurationError
from transforms.pubsub.checks import Found, check_reached, check_subscription, check_topic
from transforms.pubsub.client import PubSubSettings


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "somewhere.json")


def gives(value: Any) -> Callable[..., Any]:
    return lambda **_: value


def fails(error: Exception) -> Callable[..., Any]:
    def call(**_: Any) -> Any:
        raise error

    return call


DENIED = fails(exceptions.PermissionDenied("denied"))
GRANTED = gives(
    SimpleNamespace(permissions=["pubsub.subscriptions.consume", "pubsub.topics.publish"])
)
NOTHING_GRANTED = gives(SimpleNamespace(permissions=[]))


def subscription(**answers: Callable[..., Any]) -> Found:
    settings = Settings(Client(**answers), Client())
    return check_subscription(settings, "p", "news-sub")  # type: ignore[arg-type]


def topic(**answers: Callable[..., Any]) -> None:
    check_topic(Settings(Client(), Client(**answers)), "p", "news")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Subscription(detached=True), "is detached from its topic"),
        (Subscription(bigquery_config=BigQueryConfig(table="t")), "is a BigQuery subscription"),
        (
            Subscription(cloud_storage_config=CloudStorageConfig(bucket="b")),
            "is a Cloud Storage subscription",
        ),
    ],
)
def test_what_can_not_be_pulled(found: Subscription, said: str) -> None:
    with pytest.raises(ConfigurationError, match=f"subscription news-sub {said}"):
        subscription(get_subscription=gives(found))


def test_who_may_consume_need_not_be_allowed_to_look() -> None:
    found = subscription(get_subscription=DENIED, test_iam_permissions=GRANTED)
    assert found.notes == ("subscription news-sub may be read, but not looked at",)
    for answer in (NOTHING_GRANTED, DENIED):
        with pytest.raises(ConfigurationError, match=r"grant this account roles/pubsub.subscriber"):
            subscription(get_subscription=DENIED, test_iam_permissions=answer)


def test_who_may_publish_need_not_be_allowed_to_look() -> None:
    topic(get_topic=DENIED, test_iam_permissions=GRANTED)
    for look in (DENIED, gives(None)):
        with pytest.raises(ConfigurationError, match=r"grant this account roles/pubsub.publisher"):
            topic(get_topic=look, test_iam_permissions=NOTHING_GRANTED)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DefaultCredentialsError("none"), "there are no credentials for Google Cloud"),
        (RefreshError("expired"), r"don't work \(expired\)"),
        (exceptions.Unauthenticated("no"), "are not accepted"),
        (exceptions.ServiceUnavailable("away"), "Pub/Sub gives no answer about .*: away"),
        (exceptions.DeadlineExceeded("late"), "Pub/Sub gives no answer about .*: late"),
    ],
    ids=lambda e: type(e).__name__ if isinstance(e, Exception) else "",
)
def test_other_trouble_is_one_line(error: Exception, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as e:
        subscription(get_subscription=fails(error))
    assert "\n" not in str(e.value)
    with pytest.raises(ConfigurationError, match=said):
        topic(get_topic=fails(error))


def test_a_credentials_file_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(ConfigurationError, match="there are no credentials for Google Cloud"):
        check_reached(PubSubSettings(endpoint="of-this-test.invalid:443"))
