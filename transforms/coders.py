"""How records are encoded between stages, instead of by Beam's fallback, pickle.

On the main path records are hardly ever encoded, since its steps are fused. But runners sample the
size of elements by encoding some, and anyone may put a shuffle between two steps; msgspec is several
times faster than pickle, deterministic, and what it wrote stays readable when classes move.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import msgspec
from apache_beam import coders

from transforms.ahead import Begun
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    Message,
    NewsItem,
    Record,
    TokenizedNews,
)


class StructCoder(coders.Coder):
    """Encodes msgspec structs of one type, deterministically.

    Args:
        struct: The type to decode to: a `msgspec.Struct`, or a union of tagged ones.
        protocol: `msgspec.msgpack`, or `msgspec.json` where integers may be beyond 64 bits.
    """

    def __init__(self, struct: Any, protocol: ModuleType = msgspec.msgpack) -> None:
        self._struct = struct
        self._protocol = protocol
        self._encoder = protocol.Encoder(order="deterministic", enc_hook=_stays_here)
        self._decoder = protocol.Decoder(struct)

    def encode(self, value: Any) -> bytes:
        return self._encoder.encode(value)

    def decode(self, encoded: bytes) -> Any:
        return self._decoder.decode(encoded)

    def is_deterministic(self) -> bool:
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        return StructCoder, (self._struct, self._protocol)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StructCoder) and other._struct == self._struct

    def __hash__(self) -> int:
        return hash((StructCoder, self._struct))


def _stays_here(value: Any) -> None:
    """What a model has begun in this process is nothing elsewhere."""
    if not isinstance(value, Begun):
        raise NotImplementedError(f"{type(value).__name__} cannot be encoded")


class RecordCoder(StructCoder):
    """Encodes any record of `transforms.records`, as JSON: news may hold integers of any size."""

    def __init__(self) -> None:
        super().__init__(
            Message | NewsItem | TokenizedNews | CategorizedItem | DeadLetter, msgspec.json
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return RecordCoder, ()


for _record in (Record, Message, NewsItem, TokenizedNews, CategorizedItem, DeadLetter):
    coders.registry.register_coder(_record, RecordCoder)
