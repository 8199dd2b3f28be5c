"""TLS and SASL with `newsbeam run`, against a broker with certificates that the tests make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
)

from tests.integration.harness import (
    Topics,
    assert_each_once,
    finished,
    make_topics,
    mixed,
    refused,
    short,
    succeeded,
)
from tests.servers.apache_kafka import KafkaCluster

#: What Java and librdkafka clients call them.
DOTTED = {
    "security_protocol": "security.protocol",
    "sasl_mechanism": "sasl.mechanism",
    "sasl_plain_username": "sasl.username",
    "sasl_plain_password": "sasl.password",
    "ssl_cafile": "ssl.ca.location",
    "ssl_certfile": "ssl.certificate.location",
    "ssl_keyfile": "ssl.key.location",
}


@pytest.fixture
def topics(secured_kafka: KafkaCluster, unique: Callable[[str], str]) -> Topics:
    return make_topics(secured_kafka.create_topic, secured_kafka.bootstrap_servers, unique)


def config_file(
    folder: Path, settings: Mapping[str, Any], names: Mapping[str, str] | None = None
) -> str:
    """A properties file of client settings."""
    path = folder / "client.properties"
    lines = [f"{(names or {}).get(n, n)}={v}" for n, v in settings.items()]
    path.write_text("# how to reach the brokers\n" + "\n".join(lines) + "\n")
    return str(path)


def over(topics: Topics, settings: dict[str, Any]) -> tuple[Topics, dict[str, Any]]:
    """The topics by way of another listener, and the settings for it but where it is."""
    rest = {name: value for name, value in settings.items() if name != "bootstrap_servers"}
    return topics._replace(servers=settings["bootstrap_servers"]), rest


@pytest.mark.parametrize(
    ("listener", "names"),
    [
        ({"client_certificate": False}, {}),
        ({"client_certificate": True}, DOTTED),
        ({"mechanism": "PLAIN"}, DOTTED),
        ({"mechanism": "PLAIN", "tls": False}, {}),
        ({"mechanism": "SCRAM-SHA-256"}, {}),
        ({"mechanism": "SCRAM-SHA-512"}, DOTTED),
    ],
    ids=["TLS", "mutual TLS", "PLAIN", "PLAIN without TLS", "SCRAM-SHA-256", "SCRAM-SHA-512"],
)
def test_it_runs_over(
    secured_kafka: KafkaCluster,
    topics: Topics,
    tmp_path: Path,
    listener: dict[str, Any],
    names: dict[str, str],
) -> None:
    sent = topics.produce(mixed(30))
    secured, settings = over(topics, secured_kafka.client_settings(**listener))
    file = config_file(tmp_path, settings, names)
    succeeded(*secured.args("--stop_at_end", "--kafka_config", file))
    assert_each_once(sent, topics)


def test_a_jaas_line_and_the_environment(
    secured_kafka: KafkaCluster, topics: Topics, tmp_path: Path
) -> None:
    sent = topics.produce(short(10))
    secured, settings = over(topics, secured_kafka.client_settings("SCRAM-SHA-512"))
    user, password = settings.pop("sasl_plain_username"), settings.pop("sasl_plain_password")
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    jaas = f'{module} required username="{user}" password="{password}";'
    file = config_file(tmp_path, {**settings, "sasl.jaas.config": jaas})
    succeeded(*secured.args("--stop_at_end", "--kafka_config", file))
    env = {f"NEWSBEAM_KAFKA_{name.upper()}": str(value) for name, value in settings.items()}
    env |= {
        "NEWSBEAM_KAFKA_SASL_PLAIN_USERNAME": user,
        "NEWSBEAM_KAFKA_SASL_PLAIN_PASSWORD": password,
    }
    sent |= topics.produce(short(10, 10))
    succeeded(*secured.args("--stop_at_end"), env=env)
    assert_each_once(sent, topics)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_wrong_password_is_one_line(
    secured_kafka: KafkaCluster, topics: Topics, tmp_path: Path, mechanism: str
) -> None:
    secured, settings = over(topics, secured_kafka.client_settings(mechanism))
    wrong = {"sasl_plain_password": "not-the-password", "bootstrap_timeout_ms": 5_000}
    file = config_file(tmp_path, {**settings, **wrong})
    done = finished(*secured.args("--stop_at_end", "--kafka_config", file))
    assert done.code == 2
    (line,) = done.stderr.splitlines()
    assert secured.servers in line
    assert "user and password" in line
    assert "not-the-password" not in line


def test_a_stranger_certificate_is_one_line(
    secured_kafka: KafkaCluster, topics: Topics, tmp_path: Path
) -> None:
    secured, settings = over(topics, secured_kafka.client_settings())
    del settings["ssl_cafile"]
    settings["bootstrap_timeout_ms"] = 3_000
    done = finished(*secured.args("--kafka_config", config_file(tmp_path, settings)))
    assert done.code == 2
    (line,) = done.stderr.splitlines()
    assert f"can't reach Kafka at {secured.servers}" in line
    assert "certificate verify failed" in line.lower()


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_what_is_not_allowed_ends_it_with_a_clear_line(
    secured_kafka: KafkaCluster, topics: Topics, tmp_path: Path, delivery: str
) -> None:
    topics.produce(short(10))
    secured, settings = over(topics, secured_kafka.client_settings("PLAIN"))
    with secured_kafka.admin() as admin:
        user = f"User:{settings['sasl_plain_username']}"
        pattern = ResourcePattern(ResourceType.TOPIC, topics.out)
        admin.create_acls(
            [
                ACL(user, "*", ACLOperation.WRITE, ACLPermissionType.DENY, pattern),
                # Who may not see a topic is told that there is none.
                ACL(user, "*", ACLOperation.DESCRIBE, ACLPermissionType.ALLOW, pattern),
            ]
        )
    flags = ("--delivery", delivery, "--stop_at_end")
    file = config_file(tmp_path, settings)
    done = finished(*secured.args(*flags, "--kafka_config", file))
    assert done.code == 1, done.stderr
    assert "uthoriz" in done.error
    assert topics.out in done.error
    assert "Traceback" not in done.stderr
    assert topics.count() == 0


def test_without_the_right_to_read_there_is_one_line(
    secured_kafka: KafkaCluster, topics: Topics, tmp_path: Path
) -> None:
    topics.produce(short(3))
    secured, settings = over(topics, secured_kafka.client_settings("PLAIN"))
    with secured_kafka.admin() as admin:
        user = f"User:{settings['sasl_plain_username']}"
        pattern = ResourcePattern(ResourceType.TOPIC, topics.news)
        admin.create_acls(
            [
                ACL(user, "*", ACLOperation.READ, ACLPermissionType.DENY, pattern),
                ACL(user, "*", ACLOperation.DESCRIBE, ACLPermissionType.ALLOW, pattern),
            ]
        )
    file = config_file(tmp_path, settings)
    uri = f"kafka://{secured.servers}/{topics.news}"
    done = finished("consume", uri, "--kafka_config", file)
    assert done.code == 2
    (line,) = done.stderr.splitlines()
    assert f"not authorized for topic {topics.news}: grant" in line
    # Where the source ends is asked before the start, and is reading.
    line = refused(*secured.args("--stop_at_end", "--kafka_config", file))
    assert f"not authorized for topic {topics.news}: grant" in line
