"""Client settings for Kafka: where they come from, and how secrets stay secret.

Settings are kafka-python's, by its names (`security_protocol`, `ssl_cafile`, ...). They come from, the
later the stronger:

1. a properties file, with kafka-python's names or the usual dotted ones of Java and librdkafka
   clients (`security.protocol`, `sasl.username`, `ssl.ca.location`, `sasl.jaas.config`);
2. environment variables `NEWSBEAM_KAFKA_<NAME>`, such as `NEWSBEAM_KAFKA_SASL_PLAIN_PASSWORD`;
3. the query of an endpoint's URI, for what is no secret.

A name that starts with `consumer_`, `producer_` or `admin_` holds for that client only. What delivery
rests on is not for settings to say: see `OURS`.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, SaslAuthenticationFailedError

from transforms.errors import ConfigurationError

ENV_PREFIX = "NEWSBEAM_KAFKA_"
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
    "ssl_endpoint_identification_algorithm": "ssl_check_hostname",
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
_CODECS = (
    "compression_type takes gzip, and snappy, lz4 and zstd where "
    "`pip install 'kafka-python[snappy,lz4,zstd]'` was run"
)
_SECRET = re.compile(r"password|secret|token|jaas", re.IGNORECASE)
_LOGIN = re.compile(r"//[^/@\s]*:[^/@\s]*@")
_JAAS = re.compile(r"""(username|password)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;]+))""")


def is_secret(name: str, value: object = "") -> bool:
    """Whether a setting must never be shown: for its name, or for a login in it (a proxy's URL)."""
    return bool(_SECRET.search(name)) or bool(_LOGIN.search(str(value)))


def _names(client: str) -> frozenset[str]:
    return frozenset(CLIENTS[client].DEFAULT_CONFIG)  # type: ignore[attr-defined]


_ALL_NAMES = frozenset().union(*(_names(client) for client in CLIENTS))


def _split_prefix(name: str) -> tuple[str | None, str]:
    for client in CLIENTS:
        rest = name.removeprefix(client + "_")
        if rest != name and name not in _ALL_NAMES:
            return client, rest
    return None, name


def _known(name: str, origin: str) -> str:
    """The kafka-python name of a setting, prefix included.

    Raises:
        ConfigurationError: No client has such a setting.
    """
    underscored = name.strip().lower().replace(".", "_").replace("-", "_")
    client, rest = _split_prefix(underscored)
    rest = _OTHER_NAMES.get(rest, rest)
    if rest not in (_names(client) if client else _ALL_NAMES):
        near = difflib.get_close_matches(rest, _ALL_NAMES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see kafka-python's client settings"
        raise ConfigurationError(f"unknown Kafka setting {name!r} in {origin}: {hint}")
    if rest in OURS:
        raise ConfigurationError(f"Kafka setting {name!r} in {origin}: {OURS[rest]}")
    return f"{client}_{rest}" if client else rest


def _value(name: str, text: str, origin: str) -> Any:
    """A setting's text as the type that kafka-python's default for it has."""
    rest = _split_prefix(name)[1]
    defaults: Iterator[Any] = (
        cls.DEFAULT_CONFIG[rest]  # type: ignore[attr-defined]
        for cls in CLIENTS.values()
        if rest in cls.DEFAULT_CONFIG  # type: ignore[attr-defined]
    )
    default = next(defaults)
    try:
        if isinstance(default, bool):
            if text.lower() not in {"true", "false", "1", "0", "yes", "no", "https", ""}:
                raise ValueError("true or false")
            return text.lower() in {"true", "1", "yes", "https"}
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
    except ValueError:
        kind = "true or false" if isinstance(default, bool) else "a number"
        raise ConfigurationError(
            f"Kafka setting {name}={text!r} in {origin} is not {kind}: give {kind}"
        ) from None
    return text


def _joined(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The lines of a properties file, with their numbers.

    One that ends in a backslash goes on in the next, as in Java; two backslashes are none.
    """
    begun = ""
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if not begun:
            first = number
            if not stripped or stripped[0] in "#!":
                continue
        if (len(stripped) - len(stripped.rstrip("\\"))) % 2:
            begun += stripped[:-1]
            continue
        yield first, begun + stripped
        begun = ""
    if begun:
        yield first, begun


def _from_file(path: str) -> dict[str, str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigurationError(f"can't read the Kafka settings file {path!r}: {e}") from None
    found: dict[str, str] = {}
    for number, line in _joined(lines):
        name, sign, value = line.partition("=")
        if not sign:
            raise ConfigurationError(
                f"{path}:{number} is no Kafka setting: write one name=value a line"
            )
        if name.strip() == "sasl.jaas.config":
            for field, *quoted in _JAAS.findall(value):
                found[f"sasl_plain_{field}"] = next(filter(None, quoted), "")
        else:
            found[name.strip()] = value.strip()
    return found


class _Overhear(logging.Handler):
    def __init__(self, errors: list[Exception]) -> None:
        super().__init__(logging.WARNING)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        found = record.args.values() if isinstance(record.args, dict) else record.args or ()
        # That time is up is known: why is what matters.
        self._errors += [
            e for e in found if isinstance(e, Exception) and not isinstance(e, KafkaTimeoutError)
        ]


class _HideConfiguration(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not (isinstance(record.args, dict) and "bootstrap_servers" in record.args)


# It logs all of its configuration for debugging, passwords included.
logging.getLogger("kafka.admin.client").addFilter(_HideConfiguration())


class _Speaking:
    """Has kafka-python's log speak while somebody listens, to nobody who would not hear it else.

    All shards may connect at once: the first to listen changes the logger, the last restores it.
    """

    def __init__(self) -> None:
        self.logger = logging.getLogger("kafka.net.manager")
        self._lock = threading.Lock()
        self._listeners = 0
        self._before = (self.logger.level, self.logger.propagate)

    def __enter__(self) -> logging.Logger:
        with self._lock:
            if not self._listeners:
                self._before = (self.logger.level, self.logger.propagate)
                if not self.logger.isEnabledFor(logging.WARNING):
                    self.logger.setLevel(logging.WARNING)
                    self.logger.propagate = False
            self._listeners += 1
        return self.logger

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._listeners -= 1
            if not self._listeners:
                level, self.logger.propagate = self._before
                self.logger.setLevel(level)


_speaking = _Speaking()


@contextlib.contextmanager
def _overheard() -> Iterator[list[Exception]]:
    """The errors that kafka-python logs on its way: what it raises says that time was up, not why."""
    errors: list[Exception] = []
    handler = _Overhear(errors)
    with _speaking as logger:
        logger.addHandler(handler)
        try:
            yield errors
        finally:
            logger.removeHandler(handler)


class KafkaSettings:
    """How to reach a Kafka cluster.

    Its `repr` and errors never show a secret. It is pickled with the steps that use it, secrets
    included, since workers need them: treat a staged pipeline as you treat the secret.
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

        def add(name: str, text: str, origin: str) -> None:
            known = _known(name, origin)
            config[known] = _value(known, text, origin)

        if config_file:
            for name, text in _from_file(config_file).items():
                if name.replace(".", "_") != "bootstrap_servers":
                    add(name, text, config_file)
        for variable, text in environment.items():
            if variable.startswith(ENV_PREFIX) and variable != ENV_PREFIX + "CONFIG":
                add(variable.removeprefix(ENV_PREFIX), text, variable)
        for name, text in (query or {}).items():
            if is_secret(name, text):
                raise ConfigurationError(
                    f"{name} is a secret and can't stand in a URI: set {ENV_PREFIX}{name.upper()} "
                    "or put it in a file for --kafka_config"
                )
            add(name, text, "the URI")
        return cls(servers if isinstance(servers, str) else ",".join(servers), config)

    def for_client(self, client: str, **overrides: Any) -> dict[str, Any]:
        """The keyword arguments for a client: `consumer`, `producer` or `admin`."""
        names = _names(client)
        shared = {k: v for k, v in self._config.items() if k in names}
        own = {
            rest: v
            for k, v in self._config.items()
            for prefix, rest in [_split_prefix(k)]
            if prefix == client
        }
        return {**overrides, **shared, **own, "bootstrap_servers": self.servers.split(",")}

    def consumer(self, **defaults: Any) -> KafkaConsumer:
        """A consumer; settings given by the user are stronger than `defaults`."""
        return self._connect("consumer", defaults)

    def producer(self, **defaults: Any) -> KafkaProducer:
        """A producer; settings given by the user are stronger than `defaults`."""
        return self._connect("producer", defaults)

    def admin(self, **defaults: Any) -> KafkaAdminClient:
        """An admin client; settings given by the user are stronger than `defaults`."""
        return self._connect("admin", defaults)

    def _connect(self, client: str, defaults: Mapping[str, Any]) -> Any:
        with _overheard() as errors:
            try:
                return CLIENTS[client](**self.for_client(client, **defaults))
            # A codec that is not installed is a RuntimeError.
            except (KafkaError, OSError, ValueError, AssertionError, RuntimeError) as e:
                why, retriable = self._why_not(e, errors)
                raise KafkaUnavailable(self._hide(why), retriable) from None

    def _why_not(self, error: Exception, overheard: Sequence[Exception]) -> tuple[str, bool]:
        """What to tell of an error, and of others before it, and whether it may go away by itself."""
        for e in (error, *overheard):
            if isinstance(e, SaslAuthenticationFailedError):
                why = f"Kafka at {self.servers} refuses the login: {e}; check user and password"
                return why, False
        if not isinstance(error, OSError) and not getattr(error, "retriable", False):
            fix = _CODECS if "codec" in str(error) else "drop what it names, or give another value"
            return (
                f"Kafka at {self.servers} can't be used with these settings: {error}; {fix}",
                False,
            )
        if overheard and "sasl" in str(self._config.get("security_protocol")).lower():
            # Brokers hang up on a wrong password, at times before the client has read their answer.
            hint = "; check security_protocol, sasl_mechanism, user and password"
        else:
            hint = ""
        last = f" ({overheard[-1]})" if overheard else ""
        return f"can't reach Kafka at {self.servers}: {error}{last}{hint}", True

    def _hide(self, text: str) -> str:
        for name, value in self._config.items():
            if is_secret(name, value) and isinstance(value, str) and value:
                text = text.replace(value, "***")
        return text

    def same_cluster(self, other: KafkaSettings) -> bool:
        """Whether both name the same cluster: they share a bootstrap server."""
        return bool(set(self.servers.split(",")) & set(other.servers.split(",")))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KafkaSettings) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        shown = {k: "***" if is_secret(k, v) else v for k, v in self._config.items()}
        return f"KafkaSettings({self.servers!r}, {shown})"


class KafkaUnavailable(ConfigurationError):
    """There is no client: no broker answered, or its settings can't be.

    Attributes:
        retriable: Whether there may be one later.
    """

    def __init__(self, message: str, retriable: bool = False) -> None:
        super().__init__(message)
        self.retriable = retriable
