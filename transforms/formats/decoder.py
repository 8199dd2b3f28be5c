"""A decoder of messages: what all formats have in common."""

from __future__ import annotations

import abc
from typing import Any

from transforms.records import Message


class NotNews(ValueError):
    """The message is no news item; says why."""


class Decoder(abc.ABC):
    """Decodes the bytes of messages of one format; pickled into the pipeline."""

    @abc.abstractmethod
    def decode(self, message: Message) -> dict[str, Any]:
        """The fields of a message, all of them such as JSON has.

        Args:
            message: A message whose value is not empty.

        Raises:
            NotNews: It is not of this format.
            PipelineFailure: No message can be decoded.
        """


def utf8(value: bytes) -> str:
    """Bytes as text.

    Raises:
        NotNews: They are no UTF-8.
    """
    try:
        return value.decode()
    except UnicodeDecodeError as e:
        raise NotNews(f"not UTF-8: byte 0x{value[e.start]:02x} at {e.start}") from None


def json_type(value: Any) -> str:
    """What JSON calls the type of a value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {dict: "object", list: "array", str: "string", int: "number", float: "number"}
    return names.get(type(value), type(value).__name__)
