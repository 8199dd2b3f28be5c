"""The parameters of the flex template for Dataflow, from the classes of settings.

`python -m pipeline.document` writes `deploy/dataflow/metadata.json`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

from models.settings import Field, fields_of, without_none
from pipeline.options import RUN_SETTINGS
from pipeline.runners.checking import CheckSettings
from pipeline.runners.settings import RUNNER_OPTIONS

#: Options that say nothing to a launcher, which neither waits nor looks; and those of other runners.
LEFT_OUT = frozenset(
    {
        "dry_run",
        "fail_fast",
        "metrics_dir",
        "metrics_host",
        "metrics_port",
        "standby",
        "stop_at_end",
    }
)
_OTHER_RUNNERS = [cls for cls in RUNNER_OPTIONS if cls is not CheckSettings]
_SOURCES = r"^(pubsub|kafka|gs|s3)://.+$"
_SINKS = r"^(pubsub|kafka|gs|s3|bigquery)://.+$"
_FORMS = {"source": [_SOURCES], "sink": [_SINKS], "dead_letters": [_SINKS]}
_IMAGE = {
    "name": "sdk_container_image",
    "label": "Image of the workers",
    "helpText": (
        "The image that the workers run: that of the template, which has newsbeam and its models. "
        "Without it newsbeam is sent along, and pip brings what it needs."
    ),
    "isOptional": True,
    "paramType": "TEXT",
    "groupName": "Dataflow",
}


def template_metadata() -> dict[str, Any]:
    """What Dataflow is told of the template."""
    return {
        "name": "newsbeam",
        "description": (
            "Reads news, categorizes it with a classifier on ONNX Runtime, and writes it with its "
            "category. Pub/Sub is read and written by Dataflow itself; other sources are untried there."
        ),
        "streaming": True,
        "supportsAtLeastOnce": True,
        "supportsExactlyOnce": True,
        "defaultStreamingMode": "AT_LEAST_ONCE",
        "parameters": [*map(_parameter, parameters()), _IMAGE],
    }


def parameters() -> Iterator[Field]:
    """The options that a template has as parameters."""
    for cls in RUN_SETTINGS:
        for field in fields_of(cls):
            if cls not in _OTHER_RUNNERS and field.name not in LEFT_OUT:
                yield field


def as_json() -> str:
    """The metadata as the file has it."""
    return json.dumps(template_metadata(), indent=2, ensure_ascii=False) + "\n"


def _parameter(field: Field) -> dict[str, Any]:
    option, kind = field.option, without_none(field.type)
    made: dict[str, Any] = {
        "name": field.name,
        "label": field.name.replace("_", " ").capitalize(),
        "helpText": _plain(option.help),
        "isOptional": field.default is not dataclasses.MISSING,
        "paramType": "TEXT",
        "groupName": field.panel,
    }
    if option.choices is not None:
        made["paramType"] = "ENUM"
        made["enumOptions"] = [{"value": each, "label": each} for each in option.choices]
    elif kind is bool:
        made["paramType"] = "BOOLEAN"
    elif kind in {int, float}:
        made["paramType"] = "NUMBER"
    if field.name in _FORMS:
        made["regexes"] = _FORMS[field.name]
    if (default := _default(field)) is not None:
        made["defaultValue"] = default
    return made


def _default(field: Field) -> str | None:
    value = field.default
    if value is dataclasses.MISSING or value is None or value == ():
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _plain(text: str) -> str:
    """A help text without Markdown."""
    return re.sub(r"\\([\[\]])", r"\1", text).replace("`", "")
