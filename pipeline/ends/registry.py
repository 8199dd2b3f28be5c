"""Schema registries of topics: checked before the start, and results registered there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.ends.end import Role
from pipeline.ends.records import Records
from pipeline.runners.checking import CheckSettings
from transforms.errors import ConfigurationError
from transforms.formats.names import TYPES
from transforms.news_settings import NewsSettings
from transforms.schema_registry.settings import SchemaRegistry

if TYPE_CHECKING:
    from transforms.item_encoders import ItemEncoder

#: What the query of a sink may say of its records.
RESULTS = {"format", "schema_registry"}


def results_of(role: Role) -> set[str]:
    """What the query of a topic may say of what is written there; dead letters are as they came."""
    return set() if role is Role.DEAD_LETTERS else RESULTS


def registry_of(records: Records, news: NewsSettings) -> SchemaRegistry | None:
    """The registry that a URI names, or else the options do."""
    named = records.schema_registry or news.schema_registry
    return SchemaRegistry.of(named) if isinstance(named, str) else named


def plain_secrets(records: Records, news: NewsSettings) -> list[str]:
    """The variables of a registry that hold a secret as it stands."""
    registry = registry_of(records, news)
    return [] if registry is None else registry.plain_secrets()


def check_schemas(news: NewsSettings, checks: CheckSettings) -> None:
    """Checks the registry that a source's messages have their schemas in, if they have.

    Raises:
        ConfigurationError: There is none, or it doesn't let us in.
    """
    registry = registry_of(Records(), news)
    if registry is None or news.format not in TYPES or checks.skips("schema_registry"):
        return
    from transforms.schema_registry.client import check_registry

    check_registry(registry, TYPES[news.format])


def item_encoder(
    records: Records, news: NewsSettings, topic: str, checks: CheckSettings
) -> ItemEncoder:
    """How a topic's categorized items are encoded; Avro's schema is registered by this.

    Args:
        records: What the topic's URI says of them.
        news: The options.
        topic: Its name.
        checks: What is checked; a dry run registers nothing.

    Raises:
        ConfigurationError: There is no such format for results, or its schema can't be registered.
    """
    from transforms.item_encoders import JSON_ITEMS

    if records.format in {None, "json"}:
        if records.schema_registry is not None:
            raise ConfigurationError(
                f"results for {topic} are JSON, which has no schema here: drop schema_registry, or give "
                "format=avro"
            )
        return JSON_ITEMS
    if records.format != "avro":
        raise ConfigurationError(
            f"results for {topic} can't be {records.format}: give format=json or avro"
        )
    registry = registry_of(records, news)
    if registry is None:
        raise ConfigurationError(
            f"results for {topic} need a place for their schema: give ?format=avro&schema_registry=URL"
        )
    if checks.skips("schema_registry"):
        raise ConfigurationError(
            f"results for {topic} in Avro have their schema registered at the start: drop "
            "schema_registry from --skip_checks, or give format=json"
        )
    if checks.dry_run:
        from transforms.schema_registry.client import check_registry

        check_registry(registry, TYPES["avro"])
        return JSON_ITEMS
    from transforms.avro_items import AvroItems

    return AvroItems.registered(registry, topic)
