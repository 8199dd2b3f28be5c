"""What parsing costs, by format: microseconds of CPU time a message, and messages a second on one core.

    python -m benchmarks.formats

Messages are those of Confluent's serializers, of AG News length; schemas are in a registry that is asked
once. Encoding results, as JSON and as Avro, is measured beside it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from collections.abc import Callable
from typing import Any

from tests.servers.schema_registry import SchemaRegistryServer
from tests.unit.transforms.formats import peers
from transforms.avro_items import AvroItems
from transforms.item_encoders import JSON_ITEMS
from transforms.parse import ParseNews
from transforms.records import CategorizedItem, Message
from transforms.schema_registry.settings import SchemaRegistry

TITLE = "Oil prices rise again"
BODY = "Crude futures rose on Monday as traders weighed supply. " * 3
AT = datetime.datetime(2024, 4, 3, 12, tzinfo=datetime.UTC)
ITEM = {"id": 7, "title": TITLE, "description": BODY, "link": "http://x/y"}
DATED = {**ITEM, "published": AT.isoformat()}
AVRO = {
    "type": "record",
    "name": "News",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "title", "type": "string"},
        {"name": "description", "type": "string"},
        {"name": "link", "type": "string"},
        {"name": "published", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
CHANGE = {
    "schema": {"type": "struct", "fields": []},
    "payload": {"before": None, "after": DATED, "source": {"table": "news"}, "op": "c", "ts_ms": 1},
}
Case = tuple[ParseNews, Message]


def cases(server: SchemaRegistryServer) -> dict[str, Case]:
    """A step and a message of each format."""
    registry = SchemaRegistry.of(server.url, {})
    avro = ParseNews("avro", schema_registry=registry)
    item = {**ITEM, "published": AT}
    news = peers.news_classes()["News"](id="7", title=f"{TITLE} {BODY}")
    news.published.FromDatetime(AT)
    by_path = ParseNews(
        text_fields="d.title,d.description", id_field="d.id", time_field="d.published"
    )
    return {
        "JSON": (ParseNews(), _json(DATED)),
        "JSON, by path": (by_path, _json({"d": DATED})),
        "JSON, Debezium in Kafka Connect": (ParseNews(), _json(CHANGE)),
        "JSON, framed": (
            ParseNews(schema_registry=registry),
            peers.message(peers.json_schema(server.url, {"title": "N", "type": "object"}), DATED),
        ),
        "Avro, id before the value": (avro, peers.message(peers.avro(server.url, AVRO), item)),
        "Avro, GUID in a header": (
            avro,
            peers.message(peers.avro(server.url, AVRO, "header"), item),
        ),
        "Protobuf": (
            ParseNews("protobuf", schema_registry=registry),
            peers.message(peers.protobuf(server.url, type(news)), news),
        ),
    }


def _json(value: Any) -> Message:
    return Message(json.dumps(value).encode())


def cost(call: Callable[[], object], calls: int, rounds: int = 5) -> float:
    """The CPU time of a call in seconds: the best of some rounds."""
    call()
    best = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        for _ in range(calls):
            call()
        best = min(best, (time.process_time() - begun) / calls)
    return best


def _show(name: str, seconds: float) -> None:
    print(f"{name:34}{seconds * 1e6:8.1f} µs {1 / seconds:12,.0f} /s")


def main() -> None:
    """Prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000, help="messages a round")
    calls = parser.parse_args().calls
    with SchemaRegistryServer() as server:
        for name, (step, message) in cases(server).items():
            _show(name, cost(lambda s=step, m=message: s.apply(m), calls))  # type: ignore[misc]
        avro = AvroItems.registered(SchemaRegistry.of(server.url, {}), "out")
        labels = ("World", "Sports", "Business", "Sci/Tech")
        item = CategorizedItem(
            "7", "Business", 0.9, dict.fromkeys(labels, 0.25), ("Business",), 60, False, "m@1", AT,
            AT, None, DATED,
        )  # fmt: skip
        for name, encoder in (("JSON", JSON_ITEMS), ("Avro", avro)):
            size = len(encoder.encode(item))
            _show(
                f"a result as {name}, {size} bytes", cost(lambda e=encoder: e.encode(item), calls)
            )  # type: ignore[misc]


if __name__ == "__main__":
    main()
