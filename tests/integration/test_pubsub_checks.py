"""What is said of subscriptions and topics before the start: one line each, within seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1 import DeadLetterPolicy, PushConfig

from tests.integration.pubsub import News
from tests.servers.processes import free_port
from tests.servers.pubsub import PROJECT, PubSubServer
from transforms.errors import ConfigurationError
from transforms.pubsub.checks import Found, check_reached, check_subscription, check_topic
from transforms.pubsub.client import PubSubSettings


@pytest.fixture
def news(pubsub: PubSubServer, unique: Callable[[str], str]) -> News:
    return News(pubsub, unique("t"))


def test_a_plain_subscription_and_a_topic_are_good(news: News) -> None:
    found = check_subscription(news.server.settings, PROJECT, news.subscription)
    assert found == Found(topic=f"projects/{PROJECT}/topics/{news.topic}")
    check_topic(news.server.settings, PROJECT, news.topic)


def test_what_is_not_there(pubsub: PubSubServer) -> None:
    with pytest.raises(
        ConfigurationError, match="there is no subscription nowhere in project"
    ) as e:
        check_subscription(pubsub.settings, PROJECT, "nowhere")
    assert "gcloud pubsub subscriptions create nowhere --topic TOPIC" in str(e.value)
    with pytest.raises(ConfigurationError, match="there is no topic nowhere in project") as e:
        check_topic(pubsub.settings, PROJECT, "nowhere")
    assert f"gcloud pubsub topics create nowhere --project {PROJECT}" in str(e.value)


def test_one_for_the_other(news: News) -> None:
    with pytest.raises(ConfigurationError, match=f"{news.topic} is a topic of project"):
        check_subscription(news.server.settings, PROJECT, news.topic)
    with pytest.raises(
        ConfigurationError, match=f"{news.subscription} is a subscription of project"
    ):
        check_topic(news.server.settings, PROJECT, news.subscription)


def test_a_push_subscription(news: News) -> None:
    name = f"{news.topic}-push"
    news.server.create_subscription(
        name, news.topic, push_config=PushConfig(push_endpoint="https://example.org/push")
    )
    with pytest.raises(ConfigurationError, match="is a push subscription"):
        check_subscription(news.server.settings, PROJECT, name)


def test_a_subscription_that_has_lost_its_topic(news: News) -> None:
    path = f"projects/{PROJECT}/topics/{news.topic}"
    news.server.settings.publisher().delete_topic(topic=path)
    with pytest.raises(ConfigurationError, match="has lost its topic: nothing will ever come"):
        check_subscription(news.server.settings, PROJECT, news.subscription)


def test_what_is_worth_knowing(pubsub: PubSubServer, unique: Callable[[str], str]) -> None:
    name = unique("t")
    pubsub.create_topic(f"{name}-theirs")
    policy = DeadLetterPolicy(
        dead_letter_topic=f"projects/{PROJECT}/topics/{name}-theirs", max_delivery_attempts=5
    )
    News(
        pubsub,
        name,
        enable_exactly_once_delivery=True,
        enable_message_ordering=True,
        retain_acked_messages=True,
        message_retention_duration=Duration(seconds=3600),
        dead_letter_policy=policy,
    )
    found = check_subscription(pubsub.settings, PROJECT, f"{name}-sub")
    assert found.ordering
    assert found.exactly_once
    [warning] = found.warnings
    assert f"after 5 deliveries a message goes to {name}-theirs" in warning
    assert [note.partition(f"{name}-sub ")[2].split()[0] for note in found.notes] == [
        "delivers",
        "retains",
    ]


def test_an_emulator_that_is_not_there() -> None:
    began = time.monotonic()
    settings = PubSubSettings(emulator=f"127.0.0.1:{free_port()}")
    with pytest.raises(
        ConfigurationError, match=r"nobody listens on 127.0.0.1:\d+ .*start the emulator"
    ):
        check_subscription(settings, PROJECT, "news-sub")
    with pytest.raises(ConfigurationError, match=r"nobody listens on 127.0.0.1:\d+"):
        check_topic(settings, PROJECT, "news")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("emulator", ["localhost", "localhost:", ":8085", "http://x"])
def test_an_emulator_that_has_no_such_address(emulator: str) -> None:
    with pytest.raises(ConfigurationError, match="it has to be HOST:PORT"):
        check_reached(PubSubSettings(emulator=emulator))


def test_the_environment_names_the_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "localhost:8085")
    assert PubSubSettings.from_environment() == PubSubSettings(emulator="localhost:8085")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "")
    assert PubSubSettings.from_environment() == PubSubSettings()


def test_no_credentials(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path_factory.mktemp("config")))
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{free_port()}")  # no machine of Google's
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    settings = PubSubSettings(endpoint="no-credentials.invalid:443")
    with pytest.raises(
        ConfigurationError, match="no credentials for Google Cloud: run `gcloud auth"
    ):
        check_subscription(settings, PROJECT, "news-sub")


@pytest.mark.parametrize(
    ("project", "name", "error"),
    [
        ("a b", "news", "'a b' is no project"),
        ("p", "1news", "'1news' is no subscription of Pub/Sub"),
        ("p", "ab", "is no subscription"),
        ("p", "google-news", "is no subscription"),
        ("p", "n/ws", "is no subscription"),
    ],
)
def test_names_that_can_not_be(pubsub: PubSubServer, project: str, name: str, error: str) -> None:
    with pytest.raises(ConfigurationError, match=error):
        check_subscription(pubsub.settings, project, name)
