"""Asks a schema registry, by Confluent's REST API, and says in one line what it answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import requests

from transforms.errors import ConfigurationError
from transforms.formats.framing import SchemaRef
from transforms.per_process import PerProcess
from transforms.schema_registry.settings import ENV_PREFIX, SchemaRegistry
from transforms.secret_references import SecretUnavailable

#: Seconds to wait for a connection, and then for an answer.
TIMEOUT = (5.0, 15.0)
#: Answers after which another try may work.
_RETRIABLE = {408, 429, 500, 502, 503, 504}
_JSON = "application/vnd.schemaregistry.v1+json"


class RegistryUnreachable(OSError):
    """The registry does not answer, or is not well: it may be later."""


class RegistryRefused(Exception):
    """The registry refuses what was asked.

    Attributes:
        status: Its HTTP status.
        why: What it says.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Reference(NamedTuple):
    """A schema that another one refers to.

    Attributes:
        name: What it is called there: an Avro type, or an imported Protobuf file.
        subject: The subject it is registered under.
        version: Its version there.
    """

    name: str
    subject: str
    version: int


class RegisteredSchema(NamedTuple):
    """A schema as a registry has it.

    Attributes:
        type: `AVRO`, `PROTOBUF` or `JSON`.
        text: The schema.
        references: What it refers to.
    """

    type: str
    text: str
    references: tuple[Reference, ...] = ()


class RegistryClient:
    """Asks one registry; for any number of threads.

    Every method raises `RegistryUnreachable` or `RegistryRefused`.
    """

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._sessions = threading.local()

    def types(self) -> list[str]:
        """The types of schemas that it knows."""
        found = self._ask("GET", "schemas/types")
        if not isinstance(found, list):
            raise RegistryUnreachable(f"no schema registry answers at {self._registry}: {found!r}")
        return [str(type) for type in found]

    def schema(self, ref: SchemaRef, format: str | None = None) -> RegisteredSchema:
        """A schema by id or GUID; `format` is how its text is wished."""
        path = f"schemas/ids/{ref.id}" if ref.guid is None else f"schemas/guids/{ref.guid}"
        return _schema(self._ask("GET", path, params={"format": format} if format else None))

    def version(self, reference: Reference, format: str | None = None) -> RegisteredSchema:
        """A schema that another one refers to."""
        path = f"subjects/{quote(reference.subject, safe='')}/versions/{reference.version}"
        return _schema(self._ask("GET", path, params={"format": format} if format else None))

    def places(self, ref: SchemaRef) -> list[Reference]:
        """Where a schema is registered: its subjects and versions."""
        found = self._ask("GET", f"schemas/ids/{ref.id}/versions")
        try:
            return [Reference("", place["subject"], place["version"]) for place in found]
        except (KeyError, TypeError):
            raise RegistryUnreachable(f"{self._registry} gives no versions: {found!r}") from None

    def find(self, subject: str, schema: str) -> int:
        """The id of an Avro schema under a subject."""
        return self._id_of(f"subjects/{quote(subject, safe='')}", schema)

    def register(self, subject: str, schema: str) -> int:
        """Registers an Avro schema under a subject, unless it is there; gives its id."""
        return self._id_of(f"subjects/{quote(subject, safe='')}/versions", schema)

    def _id_of(self, path: str, schema: str) -> int:
        found = self._ask("POST", path, body={"schema": schema})
        if not isinstance(found, dict) or not isinstance(found.get("id"), int):
            raise RegistryUnreachable(f"{self._registry} gives no id of the schema: {found!r}")
        return found["id"]

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        unreachable: RegistryUnreachable | None = None
        for url in self._registry.urls:
            try:
                return self._ask_one(url, method, path, body, params)
            except RegistryUnreachable as e:
                unreachable = e
        assert unreachable is not None
        raise unreachable

    def _ask_one(
        self, url: str, method: str, path: str, body: Any, params: Mapping[str, str] | None
    ) -> Any:
        try:
            answer = self._session().request(
                method,
                f"{url}/{path}",
                params=params,
                json=body,
                timeout=TIMEOUT,
                # Said here, since requests has REQUESTS_CA_BUNDLE go before what its session says.
                verify=self._registry.ca,
                allow_redirects=method == "GET",
            )
        except SecretUnavailable as e:
            raise RegistryUnreachable(
                f"can't log in to the schema registry at {url}: {e}"
            ) from None
        except (requests.exceptions.SSLError, requests.exceptions.ConnectionError) as e:
            raise RegistryUnreachable(
                f"can't reach the schema registry at {url}: {_why(e)}"
            ) from None
        except requests.exceptions.RequestException as e:
            raise RegistryUnreachable(f"the schema registry at {url} fails: {_why(e)}") from None
        try:
            content = answer.json()
        except ValueError:
            content = None
        if answer.ok and content is not None:
            return content
        refused = isinstance(content, dict) and "error_code" in content
        why = f"{answer.status_code} {_said(content if refused else None, answer)}".rstrip()
        if answer.status_code in {401, 403} or (refused and answer.status_code not in _RETRIABLE):
            raise RegistryRefused(answer.status_code, why)
        # What does not speak as a registry does stands before one that is away.
        raise RegistryUnreachable(f"no schema registry answers at {url}: {why}")

    def _session(self) -> requests.Session:
        """A session of this thread: nobody promises that several may share one."""
        session: requests.Session | None = getattr(self._sessions, "session", None)
        if session is None:
            session = self._sessions.session = requests.Session()
            session.headers.update({"Accept": f"{_JSON}, application/json", "Content-Type": _JSON})
            session.auth = _Login(self._registry)
            session.cert = self._registry.certificate
        return session


class _Login(requests.auth.AuthBase):
    """Logs in; where there is no login, it keeps requests from looking for one in a .netrc file."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._registry.login is not None:
            user, password = self._registry.login
            basic = requests.auth.HTTPBasicAuth(user.encode(), password.encode())
            return basic(request)
        if self._registry.token is not None:
            request.headers["Authorization"] = f"Bearer {self._registry.token}"
        return request


_CLIENTS: PerProcess[SchemaRegistry, RegistryClient] = PerProcess()


def client_of(registry: SchemaRegistry) -> RegistryClient:
    """The client of a registry in this process."""
    return _CLIENTS.get(registry, lambda: RegistryClient(registry))


def refused_login(registry: SchemaRegistry, error: RegistryRefused) -> str | None:
    """What to tell of a login that a registry refuses; None where it refuses something else."""
    if error.status not in {401, 403}:
        return None
    return (
        f"the schema registry at {registry} refuses us: {error.why}; check {ENV_PREFIX}USER and "
        f"{ENV_PREFIX}PASSWORD, or {ENV_PREFIX}TOKEN, and what this user may read"
    )


def check_registry(registry: SchemaRegistry, type: str) -> None:
    """Asks a registry whether it is there, lets us in, and knows a type of schemas.

    Args:
        registry: The registry.
        type: `AVRO`, `PROTOBUF` or `JSON`.

    Raises:
        ConfigurationError: It is not, or does not.
    """
    try:
        types = client_of(registry).types()
    except RegistryUnreachable as e:
        raise ConfigurationError(f"{e}; check schema_registry") from None
    except RegistryRefused as e:
        raise ConfigurationError(
            refused_login(registry, e)
            or f"no schema registry answers at {registry}: {e.why}; check schema_registry"
        ) from None
    if type not in types:
        raise ConfigurationError(
            f"the schema registry at {registry} knows {', '.join(types)}, and no {type}: give another "
            "format"
        )


def _schema(answer: Any) -> RegisteredSchema:
    try:
        return RegisteredSchema(
            answer.get("schemaType") or "AVRO",
            answer["schema"],
            tuple(
                Reference(r["name"], r["subject"], r["version"])
                for r in answer.get("references") or ()
            ),
        )
    except (AttributeError, KeyError, TypeError):
        raise RegistryUnreachable(f"the schema registry gives no schema: {answer!r:.200}") from None


def _said(content: Any, answer: requests.Response) -> str:
    """What an answer says, in one line."""
    text = str(content.get("message")) if content is not None else answer.reason or ""
    return " ".join(text.split())[:300]


def _why(error: BaseException) -> str:
    """The innermost reason of an error of requests: it wraps those of other libraries."""
    if isinstance(error, requests.exceptions.Timeout):
        return "it does not answer in time"
    inner: Any = error
    while inner.args and isinstance(inner.args[0], BaseException):
        inner = inner.args[0]
    inner = getattr(inner, "reason", None) or inner
    while isinstance(inner, BaseException) and (inner.__cause__ or inner.__context__):
        inner = inner.__cause__ or inner.__context__
    return " ".join(str(getattr(inner, "strerror", None) or inner).split())[:200]
