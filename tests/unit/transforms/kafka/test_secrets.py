"""Secrets among client settings, and what makes two settings one."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest
from kafka.errors import KafkaError

from tests.servers.processes import free_port
from transforms.errors import ConfigurationError
from transforms.kafka.faults import heals
from transforms.kafka.names import is_secret
from transforms.kafka.settings import KafkaSettings, KafkaUnavailable

PASSWORD = "correct-horse-battery"


def of(**arguments: Any) -> KafkaSettings:
    return KafkaSettings.of("h:1", **({"environment": {}} | arguments))


# ---- secrets ---------------------------------------------------------------------------------------


def with_secrets(servers: str = "h:1") -> KafkaSettings:
    environment = {
        "NEWSBEAM_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "NEWSBEAM_KAFKA_SASL_MECHANISM": "PLAIN",
        "NEWSBEAM_KAFKA_SASL_PLAIN_USERNAME": "me",
        "NEWSBEAM_KAFKA_SASL_PLAIN_PASSWORD": PASSWORD,
        "NEWSBEAM_KAFKA_PRODUCER_SSL_PASSWORD": PASSWORD + "2",
    }
    return KafkaSettings.of(servers, environment=environment)


def test_a_password_does_not_show() -> None:
    settings = with_secrets()
    for shown in (repr(settings), str(settings), f"{settings}", repr([settings])):
        assert PASSWORD not in shown
        assert "sasl_plain_password" in shown
        assert "PLAIN" in shown


@pytest.mark.parametrize("name", ["sasl_plain_password", "ssl.password", "SSL_PASSWORD"])
def test_a_password_in_a_uri_is_refused_and_not_shown(name: str) -> None:
    with pytest.raises(ConfigurationError, match="NEWSBEAM_KAFKA_") as caught:
        of(query={name: PASSWORD})
    assert PASSWORD not in str(caught.value)


def test_a_broker_that_does_not_answer_is_named_without_the_password(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = f"127.0.0.1:{free_port()}"
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigurationError) as caught:
        with_secrets(server).admin(bootstrap_timeout_ms=500)
    assert server in str(caught.value)
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value) + caplog.text
    assert not isinstance(caught.value.__cause__, KafkaError)
    assert heals(caught.value)
    assert not heals(pickle.loads(pickle.dumps(KafkaUnavailable("refused"))))


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("sasl_plain_password", True),
        ("ssl_password", True),
        ("sasl.jaas.config", True),
        ("client_secret", True),
        ("client_id", False),
        ("sasl_plain_username", False),
    ],
)
def test_what_is_secret(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


def test_a_login_in_a_proxy_s_address_is_secret() -> None:
    proxy = f"http://me:{PASSWORD}@proxy:3128"
    with pytest.raises(ConfigurationError, match="NEWSBEAM_KAFKA_PROXY_URL") as caught:
        of(query={"proxy_url": proxy})
    assert PASSWORD not in str(caught.value)
    settings = of(environment={"NEWSBEAM_KAFKA_PROXY_URL": proxy})
    assert PASSWORD not in repr(settings)
    assert settings.for_client("admin")["proxy_url"] == proxy
    assert "proxy:1" in repr(of(query={"proxy_url": "http://proxy:1"}))


# ---- identity --------------------------------------------------------------------------------------


def test_equal_settings_share_clients() -> None:
    assert with_secrets() == with_secrets()
    assert hash(with_secrets()) == hash(with_secrets())
    assert of(query={"client_id": "a"}) != of(query={"client_id": "b"})
    assert of() != KafkaSettings.of("h:2", environment={})


def test_they_travel_to_workers_whole() -> None:
    back = pickle.loads(pickle.dumps(with_secrets()))
    assert back == with_secrets()
    assert back.for_client("consumer")["sasl_plain_password"] == PASSWORD
