"""How BigQuery is reached: one client a process, for the service or for an emulator of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from transforms.per_process import PerProcess

#: Where an emulator listens, if there is one: `http://HOST:PORT`.
EMULATOR = "BIGQUERY_EMULATOR_HOST"


@dataclass(frozen=True)
class BigQueryTable:
    """A table, and how to reach it.

    Attributes:
        project: The id of its project, which also pays.
        dataset: Its dataset.
        table: Its name.
        emulator: Where an emulator listens, as `http://HOST:PORT`; None is the service itself, with
            the credentials of the environment (application default credentials).
    """

    project: str
    dataset: str
    table: str
    emulator: str | None = None

    @classmethod
    def from_environment(cls, project: str, dataset: str, table: str) -> BigQueryTable:
        """A table where BIGQUERY_EMULATOR_HOST says, taken now: workers need not have it."""
        return cls(project, dataset, table, os.environ.get(EMULATOR) or None)

    @property
    def name(self) -> str:
        """Its whole name, as SQL has it."""
        return f"{self.project}.{self.dataset}.{self.table}"

    def client(self) -> bigquery.Client:
        """The client of this process for it.

        Raises:
            DefaultCredentialsError: The environment has no credentials.
        """
        return _clients.get((self.project, self.emulator), self._new_client)

    def _new_client(self) -> bigquery.Client:
        if self.emulator is None:
            return bigquery.Client(project=self.project)
        return bigquery.Client(
            project=self.project,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.emulator},
        )


_clients: PerProcess[tuple[str, str | None], bigquery.Client] = PerProcess()


def close_clients() -> None:
    """Closes all clients of this process: their next use makes new ones."""
    for client in _clients.clear():
        client.close()
