"""What a message holds, and which of its fields are the text, the id and the time."""

from __future__ import annotations

from typing import Annotated

from models.clean_up import clean_up_named
from models.settings import Option, settings
from transforms.csv_rows import column_list, delimiter_named
from transforms.errors import ConfigurationError
from transforms.fields import field_names
from transforms.formats.names import FORMATS
from transforms.schema_registry.settings import SchemaRegistry

#: What is classified, by default: the title, and the first of the others that an item has.
TEXT_FIELDS = ("title", "description|body|text")
#: The fields that may hold the time of publication.
TIME_FIELDS = "published|publishedAt|pubDate|published_at|date"


@settings(panel="News items")
class NewsSettings:
    """How a message becomes a news item.

    Raises:
        ConfigurationError: A setting is none of its choices.
    """

    format: Annotated[
        str | None,
        Option(
            "What a message is: `json` (an object), `text`, `csv` (a row; see --columns), or in topics "
            "`avro` or `protobuf` (see --schema_registry). Default: by the file's extension, else json.",
            metavar="FORMAT",
        ),
    ] = None
    text_fields: Annotated[
        tuple[str, ...],
        Option(
            "Fields that make the text, joined by a space; `a|b` is the first of them that the item "
            "has. A name with dots is a path where no field has it: `payload.title`, `items.0.title`.",
            metavar="FIELDS",
        ),
    ] = TEXT_FIELDS
    id_field: Annotated[
        str,
        Option(
            "Field that holds the id; where it is missing, the place in the source is the id.",
            metavar="FIELD",
        ),
    ] = "id"
    time_field: Annotated[
        str,
        Option(
            "Field that holds the time of publication, or `a|b`: ISO 8601, RFC 2822, or a number "
            "since the epoch. Where it is missing or can't be read, the record's own time counts.",
            metavar="FIELD",
        ),
    ] = TIME_FIELDS
    text_clean_up: Annotated[
        str,
        Option(
            "Clean-up before tokenizing, with the names of Spark NLP's DocumentAssembler: "
            "`disabled`; `inplace` (line breaks and tabs become spaces); `shrink` (and runs of "
            "spaces one); `inplace_full`, `shrink_full` (written-out breaks such as \\n, too); or "
            "`html` (drops tags, resolves entities, shrinks). Costs microseconds.",
            metavar="MODE",
        ),
    ] = "disabled"
    columns: Annotated[
        tuple[str, ...] | None,
        Option(
            "Column names of CSV without a header line, separated by commas: of files, stdin, "
            "and topics with --format csv. `?columns=` of a source is the same.",
            metavar="NAMES",
        ),
    ] = None
    delimiter: Annotated[
        str | None,
        Option(
            "What stands between the fields of CSV: a character, or `tab`. Default: comma, "
            "semicolon, tab or bar, by the first line. `?delimiter=` of a source is the same.",
            metavar="CHARACTER",
        ),
    ] = None
    items: Annotated[
        str | None,
        Option(
            "Where the list of items stands in a file or stdin that is one JSON document: "
            "`articles`, `response.docs`. Arrays at its top need none.",
            metavar="PATH",
        ),
    ] = None
    schema_registry: Annotated[
        str | SchemaRegistry | None,
        Option(
            "URL of a schema registry (Confluent's API; several with commas between) with the schemas "
            "of Avro, Protobuf and framed JSON. Secrets: NEWSBEAM_SCHEMA_REGISTRY_USER and _PASSWORD, "
            "or _TOKEN; TLS: _CA, _CERTIFICATE, _KEY (PEM files). `?schema_registry=` of an end is the "
            "same.",
            metavar="URL",
        ),
    ] = None
    fail_fast: Annotated[
        bool,
        Option(
            "Fail when the first thousand records, or all of fewer, are dead letters for one "
            "reason: something is set up wrongly."
        ),
    ] = False

    def __post_init__(self) -> None:
        if isinstance(self.text_fields, str):
            object.__setattr__(self, "text_fields", tuple(self.text_fields.split(",")))
        object.__setattr__(self, "text_fields", tuple(self.text_fields))
        if self.format is not None and self.format not in FORMATS:
            raise ConfigurationError(
                f"format={self.format!r} is unknown: give one of {', '.join(FORMATS)}"
            )
        try:
            clean_up_named(self.text_clean_up)
            if self.delimiter is not None:
                object.__setattr__(self, "delimiter", delimiter_named(self.delimiter))
        except ValueError as e:
            raise ConfigurationError(str(e)) from None
        if self.columns is not None:
            object.__setattr__(self, "columns", column_list(self.columns, "columns"))
        if not self.text_fields:
            raise ConfigurationError("text_fields is empty: name at least one field")
        for name in self.text_fields:
            field_names(name, "text_fields")
        field_names(self.id_field, "id_field")
        field_names(self.time_field, "time_field")
