"""Tables of BigQuery as sinks and for dead letters: `bigquery://PROJECT.DATASET.TABLE`."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote

from pipeline.ends.end import End, Role, Run, SinkEnd
from pipeline.ends.uris import query_of
from transforms.errors import ConfigurationError

if TYPE_CHECKING:
    import apache_beam as beam

    from transforms.bigquery.client import BigQueryTable
    from transforms.writing import Share

#: How a table that is created may be partitioned by time.
PARTITIONS = ("hour", "day", "month", "year", "none")
#: As Beam knows them, which has to read them again.
_NAME = re.compile(
    r"((?:[a-z0-9.-]+:)?[a-z][a-z0-9-]*[a-z0-9])\.(\w{1,1024})\.([\w -]{1,1024})",
)
_NEEDED = ("google.cloud.bigquery", "google.auth", "apitools")


@dataclass(frozen=True)
class BigQueryEnd(End):
    """A table.

    Attributes:
        project: The id of its project.
        dataset: Its dataset.
        table: Its name.
        partition_by: How it is partitioned by time, if it is created; one of `PARTITIONS`.
    """

    project: str
    dataset: str
    table: str
    partition_by: str = "day"

    SCHEMES: ClassVar[tuple[str, ...]] = ("bigquery",)
    FORM: ClassVar[str] = "bigquery://project.dataset.table"

    @classmethod
    def parse(cls, uri: str) -> BigQueryEnd:
        rest = re.sub(r"^[^:]*:(//)?", "", uri)
        path, _, text = rest.partition("?")
        name = _NAME.fullmatch(unquote(path))
        if name is None:
            raise ConfigurationError(
                f"{uri!r} names no table: write bigquery://PROJECT.DATASET.TABLE, with the id of the "
                "project, in lower case"
            )
        query = query_of(uri, text)
        partition_by = query.pop("partition_by", "day")
        for unknown in sorted(query):
            raise ConfigurationError(
                f"{unknown!r} in {uri!r} is unknown: a table's URI takes partition_by"
            )
        if partition_by not in PARTITIONS:
            raise ConfigurationError(
                f"partition_by={partition_by!r} in {uri!r} is unknown: give {', '.join(PARTITIONS)}"
            )
        return cls(uri, name[1], name[2], name[3], partition_by)

    def is_same_place(self, other: End) -> bool:
        if not isinstance(other, BigQueryEnd):
            return False
        return (self.project, self.dataset, self.table) == (
            other.project,
            other.dataset,
            other.table,
        )

    def beside(self) -> End:
        table = f"{self.table}_dead_letters"
        uri = f"bigquery://{self.project}.{self.dataset}.{table}"
        return dataclasses.replace(self, uri=uri, table=table, partition_by="day")

    def sink(self, role: Role, run: Run) -> BigQueryTo:
        if not all(map(_is_installed, _NEEDED)):
            raise ConfigurationError(
                f"{role} {self.uri!r} needs Google's client: pip install 'newsbeam[gcp]'"
            )
        from transforms.bigquery.client import BigQueryTable

        table = BigQueryTable.from_environment(self.project, self.dataset, self.table)
        return BigQueryTo(self, role, run, table)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False


@dataclass(frozen=True)
class BigQueryTo(SinkEnd):
    """A table that is written to.

    Attributes:
        table: The table, and how to reach it.
    """

    end: BigQueryEnd
    table: BigQueryTable

    def checked(self) -> BigQueryTo:
        if self.run.checks.skips("bigquery"):
            return self
        from pipeline.ends.bigquery.checks import check_table

        check_table(
            self.table,
            self.role,
            letters=self.role is Role.DEAD_LETTERS,
            partition_by=self.end.partition_by,
            look_only=self.run.checks.dry_run,
        )
        return self

    def write(self, share: Share) -> beam.PTransform:
        from transforms.bigquery.write import BigQuerySink
        from transforms.writing import WriteOutcomes

        return WriteOutcomes(BigQuerySink(self.table), share)

    def close(self) -> None:
        from transforms.bigquery.client import close_clients

        close_clients()
