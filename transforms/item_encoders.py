"""How categorized items are written where each is a message or a line of its own."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from transforms.records import CategorizedItem, categorized_to_json


class ItemEncoder(abc.ABC):
    """Encodes categorized items; pickled into the pipeline, and equal where it does the same."""

    @abc.abstractmethod
    def encode(self, item: CategorizedItem) -> bytes:
        """The bytes of an item."""


@dataclass(frozen=True)
class JsonItems(ItemEncoder):
    """Items as JSON.

    Attributes:
        envelope: Whether key and headers are added, for sinks that have no place of their own for
            them.
    """

    envelope: bool = False

    def encode(self, item: CategorizedItem) -> bytes:
        return categorized_to_json(item, envelope=self.envelope)


JSON_ITEMS = JsonItems()
