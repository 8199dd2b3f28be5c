"""What the query of a source's URI says of its records."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transforms.csv_rows import column_list, delimiter_named
from transforms.errors import ConfigurationError
from transforms.news_settings import NewsSettings
from transforms.rows import FORMATS as OF_LINES

#: The names in a query that say something of records.
RECORDS_QUERY = {"format", "columns", "delimiter", "items"}
#: Those of a topic's.
TOPIC_QUERY = {"format", "columns", "delimiter", "schema_registry"}


@dataclass(frozen=True)
class Records:
    """What a URI says of its records; None where it says nothing.

    Attributes:
        format: `json`, `csv` or `text`; of a topic also `avro` or `protobuf`.
        columns: The column names of CSV without a header line.
        delimiter: What stands between the fields of CSV.
        items: Where the list of items stands in a JSON document.
        schema_registry: The URL of the registry that has the schemas of messages.
    """

    format: str | None = None
    columns: tuple[str, ...] | None = None
    delimiter: str | None = None
    items: str | None = None
    schema_registry: str | None = None

    @classmethod
    def of(cls, uri: str, query: Mapping[str, str], formats: Sequence[str] = OF_LINES) -> Records:
        """Reads them from a query.

        Args:
            uri: The URI, for messages.
            query: The query.
            formats: The formats that such an end may have.

        Raises:
            ConfigurationError: One of them can't be.
        """
        form, columns, delimiter = (query.get(n) for n in ("format", "columns", "delimiter"))
        if form is not None and form not in formats:
            raise ConfigurationError(
                f"format={form!r} in {uri!r} is unknown: give {', '.join(formats)}"
            )
        names = None if columns is None else column_list(columns.split(","), f"{uri}: columns")
        try:
            mark = None if delimiter is None else delimiter_named(delimiter)
        except ValueError as e:
            raise ConfigurationError(f"{uri}: {e}") from None
        return cls(form, names, mark, query.get("items"), query.get("schema_registry"))

    def of_lines(self, news: NewsSettings, by_name: str | None = None) -> NewsSettings:
        """What they and the options make of files, and of stdin.

        Args:
            news: The options.
            by_name: The format that a file's name says.

        Raises:
            ConfigurationError: They don't go together.
        """
        made = self._over(news, by_name)
        if made.format not in OF_LINES:
            raise ConfigurationError(
                f"format {made.format} is that of messages in topics: give {', '.join(OF_LINES)} for "
                "files and stdin"
            )
        return made

    def of_messages(self, news: NewsSettings) -> NewsSettings:
        """What they and the options make of a topic, where a message is a record.

        Raises:
            ConfigurationError: They don't go together.
        """
        made = self._over(news)
        if made.items is not None:
            raise ConfigurationError(
                f"--items {made.items!r} is for files of JSON, and stdin: drop it, or give "
                "--format json"
            )
        if made.format == "csv" and made.columns is None:
            raise ConfigurationError(
                "CSV in a topic has no header line: name its columns, as in --columns id,title,text"
            )
        return made

    def _over(self, news: NewsSettings, by_name: str | None = None) -> NewsSettings:
        """What they and the options make; the URI is stronger, but for the format."""
        columns = self.columns or news.columns
        delimiter = self.delimiter or news.delimiter
        items = self.items if self.items is not None else news.items
        form = news.format or self.format or by_name
        form = form or ("csv" if columns or delimiter else "json")
        if (columns or delimiter) and form != "csv":
            raise ConfigurationError(
                f"columns and delimiter are those of CSV, not of {form}: drop them, or give "
                "--format csv"
            )
        if items is not None and form != "json":
            raise ConfigurationError(
                f"--items {items!r} is for files of JSON, and stdin: drop it, or give --format json"
            )
        if items is not None and not all(items.split(".")):
            raise ConfigurationError(
                f"--items {items!r} names no field: give one, as in articles or response.docs"
            )
        return dataclasses.replace(
            news,
            format=form,
            columns=columns,
            delimiter=delimiter,
            items=items,
            schema_registry=self.schema_registry or news.schema_registry,
        )
