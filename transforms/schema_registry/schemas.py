"""Schemas by their ids, parsed and kept as long as the process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from transforms.failures import PipelineFailure
from transforms.formats.decoder import NotNews
from transforms.formats.framing import SchemaRef
from transforms.patience import Patience
from transforms.per_process import PerProcess
from transforms.schema_registry.client import (
    RegisteredSchema,
    RegistryClient,
    RegistryRefused,
    RegistryUnreachable,
    client_of,
    refused_login,
)
from transforms.schema_registry.settings import SchemaRegistry

T = TypeVar("T")

#: Seconds after which a registry is asked again for what it did not know: it may be a replica.
UNKNOWN_FOR = 30.0
#: So many schemas that can't be used are kept in mind: any bytes may seem to name one.
MOST_UNKNOWN = 10_000

#: Makes of a schema what decodes its messages; may ask for what it refers to.
Parse = Callable[[RegistryClient, SchemaRef, RegisteredSchema], T]


class RegistryFailure(PipelineFailure):
    """The schema registry lets us in no more, or is away while the pipeline drains."""


class UnknownSchema(NotNews):
    """The registry has no such schema."""


class WrongSchema(NotNews):
    """The schema is of another format, or can't be used."""


class _Kept(Generic[T]):
    """What this process knows of the schemas of a registry."""

    def __init__(self) -> None:
        self.good: dict[SchemaRef, T] = {}
        self.bad: dict[SchemaRef, tuple[float, NotNews]] = {}


class Schemas(Generic[T]):
    """The schemas of a registry that are of one type; pickled into the pipeline.

    Args:
        registry: The registry.
        type: `AVRO`, `PROTOBUF` or `JSON`.
        parse: What is made of each, once in a process.
        clock: Gives seconds that never go back.
    """

    def __init__(
        self,
        registry: SchemaRegistry,
        type: str,
        parse: Parse[T],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._type = type
        self._parse = parse
        self._clock = clock

    def get(self, ref: SchemaRef) -> T:
        """What was made of a schema. A registry that is away is waited for.

        Raises:
            NotNews: It is unknown, of another type, or can't be used.
            RegistryFailure: The registry lets us in no more, or is away while the pipeline drains.
        """
        kept = _KEPT.get((self._registry, self._type), _Kept)
        # Two threads may ask for one at once: that costs a request, and no lock.
        found: T | None = kept.good.get(ref)
        if found is None:
            if (bad := kept.bad.get(ref)) and self._clock() < bad[0]:
                raise type(bad[1])(*bad[1].args)
            try:
                found = kept.good[ref] = self._patiently(ref)
            except NotNews as e:
                if len(kept.bad) >= MOST_UNKNOWN:
                    kept.bad.clear()
                kept.bad[ref] = self._clock() + UNKNOWN_FOR, e
                raise
        return found

    def _patiently(self, ref: SchemaRef) -> T:
        patience = Patience(f"asking for {ref}")
        while True:
            try:
                return self._ask(ref)
            except RegistryUnreachable as e:
                try:
                    patience.wait(e)
                except RegistryUnreachable:
                    raise RegistryFailure(f"{e}; what it is needed for is read again") from None

    def _ask(self, ref: SchemaRef) -> T:
        client = client_of(self._registry)
        try:
            schema = client.schema(ref)
            if schema.type == self._type:
                return self._parse(client, ref, schema)
        except RegistryRefused as e:
            if login := refused_login(self._registry, e):
                raise RegistryFailure(login) from None
            # Any bytes may say that they are framed: nothing else that one asks for is a failure.
            raise UnknownSchema(
                f"{ref} is not known to the schema registry at {self._registry}: {e.why}"
            ) from None
        except NotNews as e:
            raise WrongSchema(f"{ref} of {self._registry} can't be used: {e}") from None
        raise WrongSchema(
            f"{ref} is of type {schema.type}: give format={schema.type.lower()} for such messages"
        )


_KEPT: PerProcess[tuple[SchemaRegistry, str], _Kept] = PerProcess()
