"""What a peer is."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass


class Job(enum.Enum):
    """What is done, side by side.

    A program of `TEXTS` gets the file of rows as its last argument, and prints a line of JSON (see
    `texts_job`). One of `KAFKA` gets bootstrap servers, source topic, sink topic and consumer group
    as its last four, and runs until SIGTERM; what it writes has `id` and `category`.
    """

    KAFKA = "Kafka to Kafka, JSON to JSON"
    TEXTS = "texts to labels, in a process"


@dataclass(frozen=True)
class Peer:
    """A program that does the job.

    Attributes:
        name: For `--peers`.
        title: For the table.
        job: What it does.
        prepare: Sets it up where that has not been done, and gives its command.

            Raises `tests.servers.cache.Unavailable` where it cannot be had.
        rows: How many rows it gets at most; None for all.
    """

    name: str
    title: str
    job: Job
    prepare: Callable[[], list[str]]
    rows: int | None = None

    @property
    def ours(self) -> bool:
        """Whether it is newsbeam, which the others are compared with."""
        return self.name.startswith("newsbeam")
