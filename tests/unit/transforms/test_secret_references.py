"""Secrets by reference: read where a connection is made, and never shown."""

from __future__ import annotations

import os
import pickle
import stat
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from google.api_core import exceptions
from google.cloud import secretmanager
from kafka import KafkaProducer

from pipeline.ends.kinds import parse
from transforms import secret_references
from transforms.errors import ConfigurationError
from transforms.kafka import settings as kafka_settings
from transforms.kafka.settings import KafkaSettings
from transforms.schema_registry.settings import SchemaRegistry
from transforms.secret_references import SecretUnavailable, as_file, check_reference, resolved

VERSION = "projects/my-project/secrets/kafka/versions/3"
SECRET = f"secret://{VERSION}"


class Manager:
    """Stands in for Secret Manager's client."""

    answers: dict[str, bytes | Exception] = {}
    asked: list[str] = []

    def access_secret_version(self, name: str, timeout: float) -> SimpleNamespace:
        self.asked.append(name)
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(payload=SimpleNamespace(data=answer))


@pytest.fixture(autouse=True)
def manager(monkeypatch: pytest.MonkeyPatch) -> type[Manager]:
    Manager.answers, Manager.asked = {}, []
    monkeypatch.setattr(secretmanager, "SecretManagerServiceClient", Manager)
    monkeypatch.setattr(secret_references, "_known", {})
    return Manager


def test_any_other_value_is_itself() -> None:
    assert resolved("hunter2") == "hunter2"
    assert as_file("/etc/ca.pem") == "/etc/ca.pem"
    check_reference("password", "hunter2")


def test_a_variable_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    assert resolved("env://KAFKA_PASSWORD") == "hunter2"
    monkeypatch.delenv("KAFKA_PASSWORD")
    with pytest.raises(SecretUnavailable, match="set KAFKA_PASSWORD in the environment"):
        resolved("env://KAFKA_PASSWORD")


def test_secret_manager_is_asked_once_in_a_while(
    manager: type[Manager], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.answers = {VERSION: b"hunter2\n"}
    assert [resolved(SECRET), resolved(SECRET)] == ["hunter2"] * 2
    assert manager.asked == [VERSION]
    monkeypatch.setattr(secret_references, "KNOWN_FOR", -1.0)
    manager.answers = {VERSION: b"changed"}
    assert resolved(SECRET) == "changed"


def test_without_a_version_it_is_the_latest(manager: type[Manager]) -> None:
    manager.answers = {"projects/p/secrets/s/versions/latest": b"hunter2"}
    assert resolved("secret://projects/p/secrets/s") == "hunter2"


def test_a_secret_that_is_no_text_is_not_shown(manager: type[Manager]) -> None:
    manager.answers = {VERSION: b"\xffpassword"}
    with pytest.raises(SecretUnavailable, match="holds no text") as caught:
        resolved(SECRET)
    assert "password" not in repr(caught.value)


@pytest.mark.parametrize(
    ("error", "retriable"),
    [(exceptions.PermissionDenied("no"), False), (exceptions.ServiceUnavailable("later"), True)],
)
def test_what_secret_manager_refuses(
    manager: type[Manager], error: Exception, retriable: bool
) -> None:
    manager.answers = {VERSION: error}
    with pytest.raises(SecretUnavailable, match=type(error).__name__) as caught:
        resolved(SECRET)
    assert caught.value.retriable is retriable


@pytest.mark.parametrize("value", ["env://", "env://A B", "secret://kafka", "secret://projects/p"])
def test_what_is_no_reference(value: str) -> None:
    with pytest.raises(ConfigurationError, match="write"):
        check_reference("password", value)


def test_a_file_of_ours_holds_a_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CA", "-----BEGIN CERTIFICATE-----")
    path = as_file("env://CA")
    assert as_file("env://CA") == path
    with open(path, encoding="utf-8") as file:
        assert file.read() == "-----BEGIN CERTIFICATE-----\n"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


# ---- Kafka -----------------------------------------------------------------------------------------


def producer_that(takes: Callable[[dict[str, object]], None]) -> type:
    """A producer that only takes its settings."""

    class Producer:
        DEFAULT_CONFIG = KafkaProducer.DEFAULT_CONFIG

        def __init__(self, **config: object) -> None:
            takes(config)

    return Producer


PASSWORD = {"NEWSBEAM_KAFKA_SASL_PLAIN_PASSWORD": "env://KAFKA_PASSWORD"}


def test_a_client_gets_the_secret_and_its_settings_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    monkeypatch.setenv("CA", "-----BEGIN")
    given: dict[str, object] = {}
    monkeypatch.setitem(kafka_settings.CLIENTS, "producer", producer_that(given.update))
    settings = KafkaSettings.of(
        "h:1", environment=PASSWORD | {"NEWSBEAM_KAFKA_SSL_CAFILE": "env://CA"}
    )
    settings.producer()
    assert given["sasl_plain_password"] == "hunter2"
    assert os.path.isfile(str(given["ssl_cafile"]))
    assert b"hunter2" not in pickle.dumps(settings)
    assert settings.plain_secrets() == []
    plain = KafkaSettings.of("h:1", environment={next(iter(PASSWORD)): "hunter2"})
    assert plain.plain_secrets() == ["sasl_plain_password"]


def test_an_error_does_not_show_what_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")

    def refuse(config: dict[str, object]) -> None:
        raise ValueError(f"{config['sasl_plain_password']} is no good")

    monkeypatch.setitem(kafka_settings.CLIENTS, "producer", producer_that(refuse))
    with pytest.raises(ConfigurationError, match=r"\*\*\* is no good"):
        KafkaSettings.of("h:1", environment=PASSWORD).producer()


def test_a_uri_may_hold_a_reference_and_no_secret() -> None:
    uri = "kafka://h:1/news?sasl_plain_password="
    assert parse(f"{uri}{SECRET}").uri.endswith(SECRET)
    with pytest.raises(ConfigurationError, match="is a secret"):
        parse(f"{uri}hunter2")


# ---- registries ------------------------------------------------------------------------------------


def test_a_registry_reads_its_login_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "hunter2")
    prefix = "NEWSBEAM_SCHEMA_REGISTRY_"
    environment = {f"{prefix}USER": "me", f"{prefix}PASSWORD": "env://REGISTRY_PASSWORD"}
    registry = SchemaRegistry.of("http://r:8081", environment)
    assert registry.plain_secrets() == []
    assert b"hunter2" not in pickle.dumps(registry)
    assert pickle.loads(pickle.dumps(registry)).login == ("me", "hunter2")
    plain = SchemaRegistry.of("http://r:8081", environment | {f"{prefix}PASSWORD": "hunter2"})
    assert plain.plain_secrets() == [f"{prefix}PASSWORD"]
