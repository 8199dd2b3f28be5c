"""What is classified of a message: all of it, or what is in its envelope."""

from __future__ import annotations

from typing import Any, NamedTuple

from transforms.fields import FieldFinder, Fields
from transforms.formats.envelopes import Layer, opened


class Item(NamedTuple):
    """The item of a message.

    Attributes:
        fields: Its fields.
        texts: The names and values of the fields of its text; None where it has none.
        layers: Where it is in an envelope: itself, and what is around it, from inside out.
    """

    fields: Fields
    texts: list[tuple[str, Any]] | None
    layers: tuple[Layer, ...] = ()

    def id(self, finder: FieldFinder) -> tuple[str, Any]:
        """The name of the id's field and its value; None where there is none."""
        found = finder.id(self.fields)
        for layer in self.layers[1:]:
            if found[1] is not None:
                break
            found = finder.id(layer.fields)
        return found

    def time(self, finder: FieldFinder) -> Any:
        """What the item says of its time, or else what is around it; None where nothing does."""
        if not self.layers:
            return finder.time(self.fields)[1]
        for layer in self.layers:
            name, value = finder.time(layer.fields)
            if value is not None:
                return layer.time(name, value)
        return None

    def has(self, finder: FieldFinder, name: str) -> bool:
        """Whether there is a field of that name."""
        return finder.has(self.fields, name) or any(
            finder.has(layer.fields, name) for layer in self.layers
        )


def item_of(message: dict[str, Any], finder: FieldFinder) -> Item:
    """Finds the item of a message: where a field of its text is, from outside in.

    Raises:
        NotNews: It is in an envelope that holds none.
    """
    fields = Fields(message)
    texts = finder.texts(fields)
    if texts is not None or (envelope := opened(message)) is None:
        return Item(fields, texts)
    for n, layer in enumerate(envelope.layers[1:], 2):
        texts = finder.texts(layer.fields)
        if texts is not None:
            return Item(layer.fields, texts, envelope.layers[:n][::-1])
    if envelope.without is not None:
        raise envelope.without
    return Item(envelope.layers[-1].fields, None, envelope.layers[::-1])
