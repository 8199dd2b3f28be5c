"""Settings of a schema registry, and that secrets among them don't show."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from transforms.errors import ConfigurationError
from transforms.schema_registry.settings import SchemaRegistry

PASSWORD = "correct-horse-battery"
LOGIN = {"NEWSBEAM_SCHEMA_REGISTRY_USER": "me", "NEWSBEAM_SCHEMA_REGISTRY_PASSWORD": PASSWORD}


def test_where_it_is() -> None:
    registry = SchemaRegistry.of(" https://a:8081/ , http://b/api ", {})
    assert registry.urls == ("https://a:8081", "http://b/api")
    assert (registry.login, registry.token, registry.ca, registry.certificate) == (None,) * 4


def test_secrets_do_not_show_and_travel_to_workers() -> None:
    registry = SchemaRegistry.of("http://a", LOGIN)
    assert registry.login == ("me", PASSWORD)
    assert PASSWORD not in repr(registry) + str(registry) + repr([registry])
    back = pickle.loads(pickle.dumps(registry))
    assert (back, hash(back), back.login) == (registry, hash(registry), registry.login)
    assert registry != SchemaRegistry.of("http://a", {})
    token = SchemaRegistry.of("http://a", {"NEWSBEAM_SCHEMA_REGISTRY_TOKEN": PASSWORD})
    assert token.token == PASSWORD
    assert PASSWORD not in repr(token)


def test_files_for_tls(tmp_path: Path) -> None:
    pem = str(tmp_path / "ca.pem")
    Path(pem).write_text("")
    prefix = "NEWSBEAM_SCHEMA_REGISTRY_"
    registry = SchemaRegistry.of("https://a", {f"{prefix}CA": pem, f"{prefix}CERTIFICATE": pem})
    assert (registry.ca, registry.certificate) == (pem, pem)
    both = {f"{prefix}CERTIFICATE": pem, f"{prefix}KEY": pem}
    assert SchemaRegistry.of("https://a", both).certificate == (pem, pem)


@pytest.mark.parametrize(
    ("url", "variables", "line"),
    [
        ("registry:8081", {}, "schema_registry='registry:8081' is no URL: give http://host:port"),
        ("", {}, "schema_registry='' is no URL"),
        ("http://a,", {}, "schema_registry='' is no URL"),
        ("http://a:x", {}, "schema_registry='http://a:x' is no URL"),
        ("mock://a", {}, "schema_registry='mock://a' is no URL"),
        ("http://a?x=1", {}, "has a query: give http://host:port"),
        ("http://me:hidden@a", {}, "can't stand in the URL of schema_registry: set NEWSBEAM_SCH"),
        ("me:hidden@a", {}, "schema_registry is no URL"),
        ("http://a", {"USER": "me"}, "USER is set without NEWSBEAM_SCHEMA_REGISTRY_PASSWORD"),
        ("http://a", {"PASSWORD": "hidden"}, "PASSWORD is set without NEWSBEAM_SCHEMA_REGISTRY_USER"),
        ("http://a", {"KEY": __file__}, "KEY is set without NEWSBEAM_SCHEMA_REGISTRY_CERTIFICATE"),
        ("http://a", {"CA": "/none"}, "NEWSBEAM_SCHEMA_REGISTRY_CA='/none' is no file"),
        ("http://a", {"PASWORD": "hidden"}, "did you mean NEWSBEAM_SCHEMA_REGISTRY_PASSWORD?"),
        (
            "http://a",
            {"USER": "me", "PASSWORD": "hidden", "TOKEN": "hidden"},
            "NEWSBEAM_SCHEMA_REGISTRY_USER and NEWSBEAM_SCHEMA_REGISTRY_TOKEN are both set",
        ),
    ],
)  # fmt: skip
def test_what_can_t_be(url: str, variables: dict[str, str], line: str) -> None:
    environment = {f"NEWSBEAM_SCHEMA_REGISTRY_{name}": v for name, v in variables.items()}
    with pytest.raises(ConfigurationError) as caught:
        SchemaRegistry.of(url, environment)
    assert line in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_variables_of_a_service_of_kubernetes_are_none_of_ours() -> None:
    prefix = "NEWSBEAM_SCHEMA_REGISTRY_"
    names = ("SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_8081_TCP_ADDR", "SERVICE_PORT_HTTP")
    environment = {prefix + name: "1" for name in names} | {"NEWSBEAM_SCHEMA_REGISTRY": "http://a"}
    assert SchemaRegistry.of("http://a", environment) == SchemaRegistry.of("http://a", {})
