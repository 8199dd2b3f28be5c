"""Schemas made of the record classes, and what a table may have beside them."""

from __future__ import annotations

import pytest
from google.cloud.bigquery import SchemaField

from transforms.bigquery.schema import ITEM_COLUMNS, LETTER_COLUMNS, Column, differences


def test_a_table_of_items() -> None:
    assert {c.name: (c.type, c.mode) for c in ITEM_COLUMNS} == {
        "key": ("BYTES", "NULLABLE"),
        "headers": ("RECORD", "REPEATED"),
        "id": ("STRING", "REQUIRED"),
        "category": ("STRING", "REQUIRED"),
        "score": ("FLOAT64", "REQUIRED"),
        "scores": ("RECORD", "REPEATED"),
        "labels": ("STRING", "REPEATED"),
        "tokens": ("INT64", "REQUIRED"),
        "truncated": ("BOOL", "REQUIRED"),
        "model": ("STRING", "REQUIRED"),
        "event_time": ("TIMESTAMP", "REQUIRED"),
        "processed_time": ("TIMESTAMP", "REQUIRED"),
        "source": ("JSON", "NULLABLE"),
        "fields": ("JSON", "REQUIRED"),
    }
    inner = {c.name: [(i.name, i.type, i.mode) for i in c.columns] for c in ITEM_COLUMNS}
    assert inner["scores"] == [("label", "STRING", "REQUIRED"), ("score", "FLOAT64", "REQUIRED")]
    assert inner["headers"] == [("name", "STRING", "REQUIRED"), ("value", "BYTES", "NULLABLE")]


def test_a_table_of_dead_letters() -> None:
    assert {c.name: (c.type, c.mode) for c in LETTER_COLUMNS} == {
        "value": ("BYTES", "NULLABLE"),
        "key": ("BYTES", "NULLABLE"),
        "headers": ("RECORD", "REPEATED"),
        "timestamp": ("INT64", "NULLABLE"),
        "source": ("JSON", "NULLABLE"),
        "columns": ("STRING", "REPEATED"),
        "delimiter": ("STRING", "NULLABLE"),
        "stage": ("STRING", "REQUIRED"),
        "error_type": ("STRING", "REQUIRED"),
        "error": ("STRING", "REQUIRED"),
        "attempt": ("INT64", "REQUIRED"),
        "time": ("TIMESTAMP", "REQUIRED"),
        "model": ("STRING", "NULLABLE"),
    }


def fields(columns: tuple[Column, ...], **others: SchemaField) -> list[SchemaField]:
    """A table's columns, with others in place of those, or beside them."""
    made = {column.name: column.field() for column in columns}
    return list({**made, **others}.values())


@pytest.mark.parametrize("columns", [ITEM_COLUMNS, LETTER_COLUMNS], ids=["items", "letters"])
def test_what_was_created_fits(columns: tuple[Column, ...]) -> None:
    assert list(differences(columns, fields(columns))) == []


@pytest.mark.parametrize(
    "other",
    [
        SchemaField("score", "FLOAT"),  # nullable, and by its older name
        SchemaField("tokens", "INTEGER", mode="REQUIRED"),
        SchemaField("truncated", "BOOLEAN"),
        SchemaField("fields", "STRING", mode="REQUIRED"),
        SchemaField("mine", "STRING"),
        SchemaField("tags", "STRING", mode="REPEATED"),
    ],
    ids=lambda field: f"{field.name}-{field.field_type}",
)
def test_what_somebody_else_created_may_differ(other: SchemaField) -> None:
    assert list(differences(ITEM_COLUMNS, fields(ITEM_COLUMNS, **{other.name: other}))) == []


SCORES = [SchemaField("label", "STRING"), SchemaField("score", "STRING")]


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (SchemaField("score", "STRING"), "score is STRING, not FLOAT64"),
        (SchemaField("labels", "STRING"), "labels is STRING, not REPEATED STRING"),
        (
            SchemaField("category", "STRING", mode="REPEATED"),
            "category is REPEATED STRING, not STRING",
        ),
        (SchemaField("key", "BYTES", mode="REQUIRED"), "key is REQUIRED, and may be null here"),
        (
            SchemaField("mine", "STRING", mode="REQUIRED"),
            "mine is REQUIRED, and nothing is written there",
        ),
        (
            SchemaField("scores", "RECORD", mode="REPEATED", fields=SCORES),
            "scores.score is STRING, not FLOAT64",
        ),
        (
            SchemaField("scores", "RECORD", mode="REPEATED", fields=SCORES[:1]),
            "it has no column scores.score FLOAT64",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_does_not_fit(other: SchemaField, why: str) -> None:
    assert list(differences(ITEM_COLUMNS, fields(ITEM_COLUMNS, **{other.name: other}))) == [why]
