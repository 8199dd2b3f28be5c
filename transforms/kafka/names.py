"""Names and values of client settings: kafka-python's, other clients', and those that are ours."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

from transforms.errors import ConfigurationError
from transforms.kafka.other_clients import is_for_others

CLIENTS: dict[str, type] = {
    "consumer": KafkaConsumer,
    "producer": KafkaProducer,
    "admin": KafkaAdminClient,
}
#: What the dotted names of other clients are called in kafka-python, where it isn't the same word.
_OTHER_NAMES = {
    "sasl_mechanisms": "sasl_mechanism",
    "sasl_username": "sasl_plain_username",
    "sasl_password": "sasl_plain_password",
    "ssl_ca_location": "ssl_cafile",
    "ssl_certificate_location": "ssl_certfile",
    "ssl_key_location": "ssl_keyfile",
    "ssl_key_password": "ssl_password",
    "ssl_crl_location": "ssl_crlfile",
    "ssl_endpoint_identification_algorithm": "ssl_check_hostname",
    "metadata_broker_list": "bootstrap_servers",
    "request_required_acks": "acks",
    "compression_codec": "compression_type",
}
_OWN = "newsbeam sets it itself: drop it"
#: Settings that are ours, and what to do instead: with others, records could be lost or doubled.
OURS = {
    "group_id": "name the group in the source's URI, ?group=NAME",
    "auto_offset_reset": "say where to begin in the source's URI, ?start=earliest, and what to do "
    "where records are gone with --on_offset_out_of_range",
    "isolation_level": "say it in the source's URI, ?isolation_level=read_uncommitted",
    "enable_auto_commit": _OWN,
    "auto_commit_interval_ms": _OWN,
    "group_instance_id": _OWN,
    "transactional_id": _OWN,
    "transaction_timeout_ms": _OWN,
    "enable_idempotence": _OWN,
    "acks": _OWN,
    "max_request_size": "a topic's own max.message.bytes says what fits: drop it",
    "api_version": "newsbeam asks the brokers: drop it",
    "kafka_client": _OWN,
    "key_serializer": _OWN,
    "value_serializer": _OWN,
    "key_deserializer": _OWN,
    "value_deserializer": _OWN,
}
#: Values of ours that say what newsbeam does anyway: there is nothing to refuse.
_AGREED = {
    "acks": {"all", "-1"},
    "auto_offset_reset": {"earliest", "smallest", "beginning"},
    "enable_auto_commit": {"false"},
    "enable_idempotence": {"true"},
    "isolation_level": {"read_committed"},
}
#: Those of ours that contradict nothing, whatever their value in a file that other clients share.
_HARMLESS = OURS.keys() - _AGREED.keys() - {"group_id", "transactional_id"}
#: What kafka-python takes as an object only, and no text can say.
_OBJECTS = {
    "default_offset_commit_callback",
    "metric_reporters",
    "partition_assignment_strategy",
    "partitioner",
    "sasl_oauth_token_provider",
    "selector",
    "socket_options",
    "ssl_context",
}
_NUMBERS = {"receive_buffer_bytes", "send_buffer_bytes"}
_TRUE, _FALSE = {"true", "1", "yes", "https"}, {"false", "0", "no", "none", ""}
_SECRET = re.compile(r"password|secret|token|jaas|credential|user_info", re.IGNORECASE)
_LOGIN = re.compile(r"//[^/@\s]*:[^/@\s]*@")


def is_secret(name: str, value: object = "") -> bool:
    """Whether a setting must never be shown: for its name, or for a login in it (a proxy's URL)."""
    return bool(_SECRET.search(name)) or bool(_LOGIN.search(str(value)))


def client_names(client: str) -> frozenset[str]:
    """The names of the settings of a client: `consumer`, `producer` or `admin`."""
    return frozenset(CLIENTS[client].DEFAULT_CONFIG)  # type: ignore[attr-defined]


_ALL_NAMES = frozenset().union(*(client_names(client) for client in CLIENTS))


def split_prefix(name: str) -> tuple[str | None, str]:
    """The client that a name is for, if it is for one only, and the name without it."""
    for client in CLIENTS:
        rest = name.removeprefix(client + "_")
        if rest != name and name not in _ALL_NAMES:
            return client, rest
    return None, name


def setting(name: str, text: str, origin: str, shared: bool = False) -> tuple[str, Any] | None:
    """A setting by kafka-python's name, prefix included, and its value; None to pass it over.

    Args:
        name: As given, in anybody's spelling.
        text: Its value.
        origin: Where that stands, for errors.
        shared: Whether other clients read it, too: what is for them is passed over then.

    Raises:
        ConfigurationError: No client has such a setting, it can't have this value, or it is ours.
    """
    underscored = name.strip().lower().replace(".", "_").replace("-", "_")
    client, rest = split_prefix(underscored)
    rest = _OTHER_NAMES.get(rest, rest)
    if shared and rest == "bootstrap_servers":
        return None
    if rest not in (client_names(client) if client else _ALL_NAMES):
        if shared and is_for_others(rest):
            return None
        near = difflib.get_close_matches(rest, _ALL_NAMES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see kafka-python's client settings"
        raise ConfigurationError(f"unknown Kafka setting {name!r} in {origin}: {hint}")
    if rest in OURS:
        if text.lower() in _AGREED.get(rest, ()) or (shared and rest in _HARMLESS):
            return None
        raise ConfigurationError(f"Kafka setting {name!r} in {origin}: {OURS[rest]}")
    if rest in _OBJECTS:
        if shared:
            return None
        raise ConfigurationError(
            f"Kafka setting {name!r} in {origin} takes an object of Python, which no text can be: "
            "drop it"
        )
    known = f"{client}_{rest}" if client else rest
    return known, _value(known, rest, text, origin)


def _value(name: str, rest: str, text: str, origin: str) -> Any:
    """A setting's text as the type that kafka-python's default for it has."""
    defaults: Iterator[Any] = (
        cls.DEFAULT_CONFIG[rest]  # type: ignore[attr-defined]
        for cls in CLIENTS.values()
        if rest in cls.DEFAULT_CONFIG  # type: ignore[attr-defined]
    )
    default = next(defaults)
    try:
        if isinstance(default, bool):
            if text.lower() not in _TRUE | _FALSE:
                raise ValueError("true or false")
            return text.lower() in _TRUE
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
        if rest in _NUMBERS:
            # For Java, -1 is what the system has.
            return None if int(text) < 0 else int(text)
    except ValueError:
        kind = "true or false" if isinstance(default, bool) else "a number"
        raise ConfigurationError(
            f"Kafka setting {name}={text!r} in {origin} is not {kind}: give {kind}"
        ) from None
    if rest == "security_protocol":
        return text.upper()
    if rest == "compression_type" and text.lower() == "none":
        return None
    return text
