"""ParseNews on one element, for its tests."""

from __future__ import annotations

from typing import Any

from transforms.parse import ParseNews
from transforms.records import DeadLetter, KafkaPosition, NewsItem

HERE = KafkaPosition("news", 2, 40)


def parse(element: Any, **settings: Any) -> NewsItem | DeadLetter:
    """What one element becomes; that it is one thing is asserted by the way."""
    [found] = ParseNews(**settings).process(element)
    assert isinstance(found, NewsItem | DeadLetter)
    return found


def news(element: Any, **settings: Any) -> NewsItem:
    found = parse(element, **settings)
    assert isinstance(found, NewsItem), found
    return found


def refused(element: Any, **settings: Any) -> str:
    found = parse(element, **settings)
    assert isinstance(found, DeadLetter), found
    assert found.stage == "ParseNews"
    return found.error
