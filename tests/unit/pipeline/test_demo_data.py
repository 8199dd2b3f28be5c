"""The sample news and the poison set: complete, well formed, and true to what they promise."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

import models
import pipeline.demo
from pipeline.demo.poison import LARGE_VALUE_BYTES, POISON, PoisonMessage

SAMPLE_NEWS = Path(pipeline.demo.__file__).with_name("sample_news.jsonl")
FIELDS = ["id", "title", "description", "published", "url"]
#: Of a whole article, of which there are some.
FIELDS_OF_ARTICLE = ["id", "title", "body", "published", "url"]


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in SAMPLE_NEWS.read_bytes().splitlines()]


def text_of(item: dict[str, Any]) -> str:
    """What stands below the title."""
    return str(item["body"] if "body" in item else item["description"])


def test_there_are_enough_items_of_exactly_the_promised_fields(items: list[dict[str, Any]]) -> None:
    assert len(items) >= 240
    for item in items:
        assert list(item) in (FIELDS, FIELDS_OF_ARTICLE)
        assert all(isinstance(value, str) and value.strip() == value for value in item.values())
        assert len(item["title"]) >= 10
        assert len(text_of(item)) >= (1500 if "body" in item else 30)
    # Early enough that whoever watches sees one.
    assert any("body" in item for item in items[:20])


def test_items_are_distinct(items: list[dict[str, Any]]) -> None:
    for field in ("id", "title", "url"):
        assert len({item[field] for item in items}) == len(items)
    assert len({text_of(item) for item in items}) == len(items)


def test_ids_count_up(items: list[dict[str, Any]]) -> None:
    assert [item["id"] for item in items] == [f"sample-{n:04}" for n in range(1, len(items) + 1)]


def test_published_is_utc_and_varied(items: list[dict[str, Any]]) -> None:
    years = set()
    for item in items:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", item["published"])
        years.add(dt.datetime.fromisoformat(item["published"]).year)
    assert len(years) >= 10


def test_urls_lead_to_a_reserved_domain(items: list[dict[str, Any]]) -> None:
    for item in items:
        url = urlsplit(item["url"])
        assert (url.scheme, url.netloc) == ("https", "news.example")
        assert url.path.isascii()
        assert re.fullmatch(r"/\d{4}/\d\d/[a-z0-9-]+", url.path)


def test_texts_hold_what_breaks_careless_code(items: list[dict[str, Any]]) -> None:
    text = "\n".join(item["title"] + " " + text_of(item) for item in items)
    for needed in ('"', "“", "$", "€", "£", "é", "Ł", "😀", "%", "&"):
        assert needed in text


def test_every_category_is_there_and_they_alternate(items: list[dict[str, Any]]) -> None:
    bundle = next(Path(models.__file__).parent.glob("*/tokenizer.json")).parent
    labels = msgspec.json.decode((bundle / "config.json").read_bytes())["id2label"]
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    session = onnxruntime.InferenceSession(
        str(next(bundle.glob("*.onnx"))), providers=["CPUExecutionProvider"]
    )
    categories = []
    for item in items:
        ids = np.array([tokenizer.encode(f"{item['title']} {text_of(item)}").ids[:512]])
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        (logits,) = session.run(["logits"], inputs)
        categories.append(labels[str(int(np.argmax(logits[0])))])
    counts = Counter(categories)
    assert set(counts) == set(labels.values())
    assert min(counts.values()) >= 40
    # The demo shows a chart that grows: whichever 40 items come next, no category is missing.
    for start in range(len(categories) - 40):
        assert set(categories[start : start + 40]) == set(labels.values())


def by_the_rules(value: bytes) -> str:
    """What the documented rules of parsing say about a message, in their plainest form."""
    try:
        item = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "dead_letter"
    if not isinstance(item, dict):
        return "dead_letter"
    item = {name.lower(): value for name, value in item.items()}
    item = {
        n: v for n, v in item.items() if v is not None and not (isinstance(v, str) and v.isspace())
    }
    if not isinstance(item.get("id", ""), str | int | float):
        return "dead_letter"
    body = next((name for name in ("description", "body", "text") if name in item), None)
    texts = [item[name] for name in ("title", body) if name in item]
    if not all(isinstance(text, str) for text in texts) or not " ".join(texts).strip():
        return "dead_letter"
    return "categorized"


@pytest.mark.parametrize("poison", POISON, ids=lambda poison: poison.name)
def test_expectations_follow_from_the_rules(poison: PoisonMessage) -> None:
    assert poison.expected == by_the_rules(poison.value)


def test_poison_is_named_explained_and_of_both_kinds() -> None:
    names = [poison.name for poison in POISON]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)
    assert all(poison.why for poison in POISON)
    assert {poison.expected for poison in POISON} == {"dead_letter", "categorized"}


def test_only_the_duplicates_share_an_id() -> None:
    ids: Counter[str] = Counter()
    for poison in POISON:
        if poison.expected == "categorized":
            item = msgspec.json.decode(poison.value)
            ids[str(item.get("id", item.get("ID")))] += 1
    assert {name for name, n in ids.items() if n > 1} == {"poison-duplicate"}


def test_poison_fits_into_a_kafka_message_of_the_default_size() -> None:
    largest = max(POISON, key=lambda poison: len(poison.value))
    assert largest.name == "large_text"
    assert len(largest.value) == LARGE_VALUE_BYTES < 1_048_588
