"""Client settings: where they come from, which is the strongest, and that secrets stay secret."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from transforms.errors import ConfigurationError
from transforms.kafka.faults import heals
from transforms.kafka.overheard import overheard
from transforms.kafka.settings import KafkaSettings, KafkaUnavailable

PASSWORD = "correct-horse-battery"


def of(**arguments: Any) -> KafkaSettings:
    return KafkaSettings.of("h:1", **({"environment": {}} | arguments))


def file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "kafka.properties"
    path.write_text(text, encoding="utf-8")
    return str(path)


# ---- where settings come from ----------------------------------------------------------------------


def test_the_later_source_is_the_stronger(tmp_path: Path) -> None:
    path = file(tmp_path, "client_id=file\nrequest_timeout_ms=1\nretry_backoff_ms=1\n")
    settings = of(
        config_file=path,
        environment={"NEWSBEAM_KAFKA_CLIENT_ID": "env", "NEWSBEAM_KAFKA_REQUEST_TIMEOUT_MS": "2"},
        query={"client_id": "uri"},
    )
    found = settings.for_client("consumer")
    assert (found["client_id"], found["request_timeout_ms"], found["retry_backoff_ms"]) == (
        "uri",
        2,
        1,
    )


def test_servers_are_a_list_for_the_client() -> None:
    settings = KafkaSettings.of(["a:1", "b:2"], environment={})
    assert settings.for_client("admin")["bootstrap_servers"] == ["a:1", "b:2"]
    assert settings.servers == "a:1,b:2"


def test_properties_files_of_other_clients(tmp_path: Path) -> None:
    path = file(
        tmp_path,
        "# a comment\n! another\n\n"
        "bootstrap.servers=ignored:1\n"
        "security.protocol = SASL_SSL\n"
        "sasl.mechanisms=SCRAM-SHA-512\n"
        "sasl.username=me\n"
        "sasl.password=a=b\n"
        "ssl.ca.location=/ca.pem\n"
        "ssl.endpoint.identification.algorithm=\n",
    )
    found = of(config_file=path).for_client("producer")
    assert found == {
        "bootstrap_servers": ["h:1"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "me",
        "sasl_plain_password": "a=b",
        "ssl_cafile": "/ca.pem",
        "ssl_check_hostname": False,
    }


@pytest.mark.parametrize("quote", ['"', "'", ""])
def test_a_jaas_line(tmp_path: Path, quote: str) -> None:
    path = file(
        tmp_path,
        "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
        f"username={quote}me{quote} password={quote}{PASSWORD}{quote};\n",
    )
    found = of(config_file=path).for_client("admin")
    assert (found["sasl_plain_username"], found["sasl_plain_password"]) == ("me", PASSWORD)


def test_lines_that_go_on(tmp_path: Path) -> None:
    path = file(
        tmp_path,
        "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\\n"
        f'  username="me" \\\n  password="{PASSWORD}";\n'
        "# a comment does not \\\n"
        "client.id=a\\\n\tb\n"
        "ssl.cafile=C:\\\\\n"
        "linger.ms=7\\",
    )
    assert of(config_file=path).for_client("producer") == {
        "bootstrap_servers": ["h:1"],
        "sasl_plain_username": "me",
        "sasl_plain_password": PASSWORD,
        "client_id": "ab",
        "ssl_cafile": "C:\\\\",
        "linger_ms": 7,
    }


def test_a_setting_for_one_client() -> None:
    settings = of(query={"client_id": "all", "producer_client_id": "p", "linger_ms": "7"})
    assert settings.for_client("producer")["client_id"] == "p"
    assert settings.for_client("consumer")["client_id"] == "all"
    assert settings.for_client("producer")["linger_ms"] == 7
    assert "linger_ms" not in settings.for_client("consumer")


def test_the_users_settings_are_stronger_than_defaults() -> None:
    settings = of(query={"linger_ms": "7"})
    found = settings.for_client("producer", linger_ms=5, acks="all")
    assert (found["linger_ms"], found["acks"]) == (7, "all")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("no", False), ("1", True), ("0", False)]
)
def test_truth_values(text: str, value: bool) -> None:
    assert of(query={"ssl_check_hostname": text}).for_client("admin")["ssl_check_hostname"] is value


JAVA_AND_LIBRDKAFKA = """\
bootstrap.servers: ignored:1
key.deserializer=org.apache.kafka.common.serialization.StringDeserializer
value.serializer=org.apache.kafka.common.serialization.StringSerializer
schema.registry.url=https://registry:8081
basic.auth.user.info=me:secret
client.dns.lookup=use_all_dns_ips
session.timeout.ms=45000
default.api.timeout.ms 60000
acks=all
enable.idempotence=true
enable.auto.commit=false
auto.offset.reset=earliest
max.request.size=2000000
partitioner.class=org.apache.kafka.clients.producer.RoundRobinPartitioner
partition.assignment.strategy=org.apache.kafka.clients.consumer.RangeAssignor
receive.buffer.bytes=-1
statistics.interval.ms=0
enable.auto.offset.store=false
debug=broker
queue.buffering.max.ms=5
security.protocol=ssl
ssl.truststore.type=PEM
ssl.truststore.location=/ca.pem
ssl.keystore.type=PEM
ssl.keystore.location=/me.pem
ssl.key.password: hunter2
client.id\tnews
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_file_that_other_clients_share(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, encoding: str, line_end: str
) -> None:
    path = tmp_path / f"{encoding}{len(line_end)}.properties"
    path.write_bytes(JAVA_AND_LIBRDKAFKA.replace("\n", line_end).encode(encoding))
    with caplog.at_level(logging.INFO, "newsbeam.kafka"):
        settings = [of(config_file=str(path)) for _ in range(3)][-1]
    assert settings.for_client("consumer") == {
        "bootstrap_servers": ["h:1"],
        "client_dns_lookup": "use_all_dns_ips",
        "session_timeout_ms": 45000,
        "receive_buffer_bytes": None,
        "security_protocol": "SSL",
        "ssl_cafile": "/ca.pem",
        "ssl_certfile": "/me.pem",
        "ssl_keyfile": "/me.pem",
        "ssl_password": "hunter2",
        "client_id": "news",
    }
    [line] = caplog.messages
    for name in ("key.deserializer", "schema.registry.url", "acks", "debug", "partitioner.class"):
        assert name in line
    assert "me:secret" not in line


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("acks=1", "'acks'"),
        ("request.required.acks=0", "'request.required.acks'"),
        ("enable.idempotence=false", "'enable.idempotence'"),
        ("enable.auto.commit=true", "'enable.auto.commit'"),
        ("securty.protocol=SSL", "'securty.protocol'.*did you mean 'security_protocol'"),
        ("shema.registry.url=x", "'shema.registry.url'"),
        ("[kafka]", "kafka.properties:1"),
        (
            "security.protocol=SSL\nssl.truststore.location=x.jks",
            "ssl.truststore.location.*ssl_cafile",
        ),
        ("security.protocol=SSL\nssl.ca.pem=-----BEGIN", "ssl.ca.pem.*ssl_cafile"),
        (
            "security.protocol=SSL\nssl.keystore.location=x.p12\nssl.keystore.type=PKCS12",
            "ssl.keystore.location.*ssl_certfile and ssl_keyfile",
        ),
    ],
)
def test_what_contradicts_delivery_or_is_needed_is_refused(
    tmp_path: Path, line: str, named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        of(config_file=file(tmp_path, line + "\n"))


def test_a_store_that_is_not_needed_is_passed_over(tmp_path: Path) -> None:
    path = file(tmp_path, "ssl.truststore.location=x.jks\nssl.truststore.password=p\n")
    assert of(config_file=path).for_client("admin") == {"bootstrap_servers": ["h:1"]}
    path = file(tmp_path, "security.protocol=SSL\nssl.truststore.location=x.jks\n")
    environment = {"NEWSBEAM_KAFKA_SSL_CAFILE": "ca.pem"}
    found = of(config_file=path, environment=environment).for_client("admin")
    assert found["ssl_cafile"] == "ca.pem"


def test_variables_that_kubernetes_sets_are_passed_over() -> None:
    address = "tcp://10.0.0.1:9092"
    environment = {
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "9092",
        "SERVICE_PORT_CLIENT": "9092",
        "PORT": address,
        "PORT_9092_TCP": address,
        "PORT_9092_TCP_PROTO": "tcp",
        "PORT_9092_TCP_PORT": "9092",
        "PORT_9092_TCP_ADDR": "10.0.0.1",
        "HEADLESS_SERVICE_HOST": "10.0.0.2",
        "CONTROLLER_0_PORT": "udp://10.0.0.2:9093",
        "CLIENT_ID": "news",
    }
    found = of(environment={f"NEWSBEAM_KAFKA_{k}": v for k, v in environment.items()})
    assert found.for_client("admin") == {"bootstrap_servers": ["h:1"], "client_id": "news"}
    for name, value in (("PORT", "9092"), ("SERVICE", "x"), ("SECURITY_PORTOCOL", "SSL")):
        with pytest.raises(ConfigurationError, match=f"'{name}'"):
            of(environment={f"NEWSBEAM_KAFKA_{name}": value})


# ---- what can't work -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"query": {"clientid": "x"}}, "'clientid' in the URI: did you mean 'client_id'"),
        ({"query": {"xyzzy": "x"}}, "'xyzzy'"),
        ({"environment": {"NEWSBEAM_KAFKA_SECURITY_PROTOCOLL": "x"}}, "SECURITY_PROTOCOLL"),
        ({"query": {"request_timeout_ms": "soon"}}, "request_timeout_ms='soon'.*a number"),
        ({"query": {"check_crcs": "maybe"}}, "check_crcs='maybe'.*true or false"),
        ({"config_file": "nowhere.properties"}, "nowhere.properties"),
    ],
)
def test_the_error_names_the_setting(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        of(**arguments)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("group.id", r"\?group=NAME"),
        ("consumer_group_id", r"\?group=NAME"),
        ("auto.offset.reset", r"\?start=.*--on_offset_out_of_range"),
        ("isolation.level", r"\?isolation_level="),
        ("enable.auto.commit", "drop it"),
        ("producer_acks", "drop it"),
        ("transactional.id", "drop it"),
    ],
)
def test_what_delivery_rests_on_is_not_for_settings(
    tmp_path: Path, name: str, instead: str
) -> None:
    with pytest.raises(
        ConfigurationError, match=f"{re.escape(name)}' in .*properties: .*{instead}"
    ):
        of(config_file=file(tmp_path, f"{name}=1\n"))


def test_a_line_that_is_no_setting_is_named_by_its_number_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"kafka\.properties:2") as caught:
        of(config_file=file(tmp_path, f"client_id=x\n{PASSWORD}\n"))
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("max_in_flight_requests_per_connection", "10", "max_in_flight_requests_per_connection=10"),
        ("retries", "0", "retries=0.*drop what it names"),
        ("compression_type", "nonsense", "nonsense; compression_type takes gzip"),
        ("compression_type", "zstd", "zstd.*not found; compression_type.*pip install"),
    ],
)
def test_settings_that_no_producer_takes_do_not_heal(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str
) -> None:
    codecs = KafkaProducer._COMPRESSORS
    monkeypatch.setitem(codecs, "zstd", (lambda: False, codecs["zstd"][1]))
    with pytest.raises(
        KafkaUnavailable, match=f"Kafka at h:1 can't be used with these settings: .*{named}"
    ) as caught:
        # With a version given, nothing is asked of the broker.
        of(query={name: value}).producer(enable_idempotence=True, api_version=(2, 4))
    assert not heals(caught.value)
    assert "\n" not in str(caught.value)


def test_those_who_connect_at_once_leave_the_log_as_it_was() -> None:
    quiet, logger = logging.getLogger("kafka"), logging.getLogger("kafka.net.manager")
    level, before = quiet.level, (logger.level, logger.propagate)
    quiet.setLevel(logging.CRITICAL)
    try:
        first, second = overheard(), overheard()
        heard_first, heard_second = first.__enter__(), second.__enter__()
        logger.warning("failed: %s", OSError("a"))
        first.__exit__(None, None, None)
        logger.warning("failed: %s", OSError("b"))
        second.__exit__(None, None, None)
        assert [str(e) for e in heard_first] == ["a"]
        assert [str(e) for e in heard_second] == ["a", "b"]
        assert (logger.level, logger.propagate, logger.handlers) == (*before, [])
        assert not logger.isEnabledFor(logging.WARNING)
    finally:
        quiet.setLevel(level)
