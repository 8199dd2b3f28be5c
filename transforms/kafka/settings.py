"""Client settings for Kafka: where they come from, and how secrets stay secret.

Settings are kafka-python's, by its names (`security_protocol`, `ssl_cafile`, ...). They come from, the
later the stronger:

1. a properties file, with kafka-python's names or the usual dotted ones of Java and librdkafka
   clients (`security.protocol`, `sasl.username`, `ssl.ca.location`, `sasl.jaas.config`); what is for
   those clients only is passed over, with a line;
2. environment variables `NEWSBEAM_KAFKA_<NAME>`, such as `NEWSBEAM_KAFKA_SASL_PLAIN_PASSWORD`;
3. the query of an endpoint's URI, for what is no secret.

Where a value is `env://NAME` or `secret://…`, workers read it there: see `secret_references`.

A name that starts with `consumer_`, `producer_` or `admin_` holds for that client only. What delivery
rests on is not for settings to say: see `names.OURS`.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError, SaslAuthenticationFailedError

from transforms.errors import ConfigurationError
from transforms.kafka.names import CLIENTS, client_names, is_secret, setting, split_prefix
from transforms.kafka.other_clients import PemStores
from transforms.kafka.overheard import overheard
from transforms.kafka.properties import from_file
from transforms.kafka.unreadable import hand_on_unreadable
from transforms.kafka.words import said
from transforms.secret_references import (
    SecretUnavailable,
    as_file,
    check_reference,
    is_reference,
    resolved,
)

log = logging.getLogger("newsbeam.kafka")

ENV_PREFIX = "NEWSBEAM_KAFKA_"
#: Settings that name files; a reference in their place names what stands in there.
_FILES = {"ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_crlfile"}
_CODECS = (
    "compression_type takes gzip, and snappy, lz4 and zstd where "
    "`pip install 'kafka-python[snappy,lz4,zstd]'` was run"
)
#: What Kubernetes says of services by variables of its own, in every container: of one that is called
#: `newsbeam-kafka`, or whose name begins so, they look like settings of ours.
_SERVICE = re.compile(
    r"(?:.+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_PORT = re.compile(r"(?:.+_)?PORT")
#: What was said of settings that are passed over: several endpoints may have one file.
_said: set[tuple[str, ...]] = set()


def _of_service(name: str, value: str) -> bool:
    """Whether Kubernetes has set a variable, whose prefix is left out."""
    return bool(_SERVICE.fullmatch(name) or (_PORT.fullmatch(name) and "://" in value))


def _say_passed_over(names: Sequence[str], origin: str) -> None:
    if names and (line := (origin, *names)) not in _said:
        _said.add(line)
        log.info("%s: passed over, being for other Kafka clients: %s", origin, ", ".join(names))


class KafkaSettings:
    """How to reach a Kafka cluster.

    Its `repr` and errors never show a secret. It is pickled with the steps that use it: secrets that
    stand in it go along, references to them are followed on the worker.
    """

    def __init__(self, servers: str, config: Mapping[str, Any]) -> None:
        self.servers = servers
        self._config = dict(config)
        # Settings are keys of registries that are asked for each record.
        self._identity = (servers, *sorted((k, repr(v)) for k, v in config.items()))

    @classmethod
    def of(
        cls,
        servers: str | Sequence[str],
        config_file: str | None = None,
        query: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> KafkaSettings:
        """Gathers the settings of a cluster.

        Args:
            servers: `host:port[,host:port]`, or a list of them.
            config_file: A properties file.
            query: Settings from a URI.
            environment: Environment variables; the process's own by default.

        Raises:
            ConfigurationError: A setting is unknown, has a value of the wrong type, or is a secret
                in a URI; or the file can't be read.
        """
        environment = os.environ if environment is None else environment
        config: dict[str, Any] = {}
        passed_over: list[str] = []

        def add(name: str, text: str, origin: str, shared: bool = False) -> None:
            check_reference(name, text)
            found = setting(name, text, origin, shared)
            if found is None:
                passed_over.append(name)
            else:
                config[found[0]] = found[1]

        stores = PemStores({})
        if config_file:
            stores = PemStores(from_file(config_file))
            for name, text in stores.settings.items():
                add(name, text, config_file, shared=True)
            _say_passed_over(passed_over, config_file)
        for variable, text in environment.items():
            name = variable.removeprefix(ENV_PREFIX)
            if name not in {variable, "CONFIG"} and not _of_service(name, text):
                add(name, text, variable)
        for name, text in (query or {}).items():
            if is_secret(name, text) and not is_reference(text):
                raise ConfigurationError(
                    f"{name} is a secret and can't stand in a URI: set {ENV_PREFIX}{name.upper()} "
                    "or put it in a file for --kafka_config"
                )
            add(name, text, "the URI")
        stores.check(config, config_file or "")
        return cls(servers if isinstance(servers, str) else ",".join(servers), config)

    def for_client(self, client: str, **overrides: Any) -> dict[str, Any]:
        """The keyword arguments for a client: `consumer`, `producer` or `admin`."""
        names = client_names(client)
        shared = {k: v for k, v in self._config.items() if k in names}
        own = {
            rest: v
            for k, v in self._config.items()
            for prefix, rest in [split_prefix(k)]
            if prefix == client
        }
        return {**overrides, **shared, **own, "bootstrap_servers": self.servers.split(",")}

    def plain_secrets(self) -> list[str]:
        """The names of settings that hold a secret, and not only say where it is."""
        return sorted(
            name
            for name, value in self._config.items()
            if is_secret(name, value)
            and isinstance(value, str)
            and value
            and not is_reference(value)
        )

    def consumer(self, **defaults: Any) -> KafkaConsumer:
        """A consumer; settings given by the user are stronger than `defaults`."""
        consumer = self._connect("consumer", defaults)
        hand_on_unreadable(consumer)
        return consumer

    def producer(self, **defaults: Any) -> KafkaProducer:
        """A producer; settings given by the user are stronger than `defaults`."""
        return self._connect("producer", defaults)

    def admin(self, **defaults: Any) -> KafkaAdminClient:
        """An admin client; settings given by the user are stronger than `defaults`."""
        return self._connect("admin", defaults)

    def _connect(self, client: str, defaults: Mapping[str, Any]) -> Any:
        config = self.for_client(client, **defaults)
        try:
            known = {name: _here(name, value) for name, value in config.items()}
        except SecretUnavailable as e:
            raise KafkaUnavailable(f"Kafka at {self.servers}: {e}", e.retriable) from None
        with overheard() as errors:
            try:
                return CLIENTS[client](**known)
            # A codec that is not installed is a RuntimeError.
            except (KafkaError, OSError, ValueError, TypeError, AssertionError, RuntimeError) as e:
                why, retriable = self._why_not(e, errors)
                raise KafkaUnavailable(_hide(why, known), retriable) from None

    def _why_not(self, error: Exception, overheard: Sequence[Exception]) -> tuple[str, bool]:
        """What to tell of an error, and of others before it, and whether it may go away by itself."""
        for e in (error, *overheard):
            if isinstance(e, SaslAuthenticationFailedError):
                why = f"Kafka at {self.servers} refuses the login: {e}; check user and password"
                return why, False
        if not isinstance(error, OSError) and not getattr(error, "retriable", False):
            fix = _CODECS if "codec" in str(error) else "drop what it names, or give another value"
            return (
                f"Kafka at {self.servers} can't be used with these settings: {said(error)}; {fix}",
                False,
            )
        if overheard and "sasl" in str(self._config.get("security_protocol")).lower():
            # Brokers hang up on a wrong password, at times before the client has read their answer.
            hint = "; check security_protocol, sasl_mechanism, user and password"
        else:
            hint = ""
        last = f" ({said(overheard[-1])})" if overheard else ""
        return f"can't reach Kafka at {self.servers}: {said(error)}{last}{hint}", True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KafkaSettings) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        shown = {k: "***" if is_secret(k, v) else v for k, v in self._config.items()}
        return f"KafkaSettings({self.servers!r}, {shown})"


def _here(name: str, value: Any) -> Any:
    """A value as a client of this process takes it: what a reference names in place of it."""
    if not is_reference(value):
        return value
    return as_file(value) if name in _FILES else resolved(value)


def _hide(text: str, config: Mapping[str, Any]) -> str:
    """A text without the secrets of a client."""
    for name, value in config.items():
        if is_secret(name, value) and isinstance(value, str) and value:
            text = text.replace(value, "***")
    return text


class KafkaUnavailable(ConfigurationError):
    """There is no client: no broker answered, or its settings can't be.

    Attributes:
        retriable: Whether there may be one later.
    """

    def __init__(self, message: str, retriable: bool = False) -> None:
        super().__init__(message)
        self.retriable = retriable
