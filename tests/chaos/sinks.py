"""Where outcomes arrive: topics of Kafka or Pub/Sub, and what of them has come so far."""

from __future__ import annotations

import abc
import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from google.api_core.exceptions import GoogleAPICallError
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from tests.chaos.verdict import Record, read
from tests.servers.pubsub import PROJECT, PubSubServer
from transforms.pubsub.attributes import from_attributes

SINK, DEAD_LETTERS = "categorized", "dead-letters"
#: The attribute that holds the key of a message of Pub/Sub; it comes out with what comes of it.
KEY = "chaos"


class Arrived(NamedTuple):
    """All that came out: categorized items, and dead letters."""

    items: list[Record]
    letters: list[Record]


class Sinks(abc.ABC):
    """Two topics. Also tells progress, where no offsets do, by what has arrived.

    Attributes:
        uris: As `--sink` and `--dead_letters`.
    """

    uris: tuple[str, str]

    def __init__(self) -> None:
        self._keys: set[bytes | None] = set()
        self._written = 0

    @abc.abstractmethod
    def more(self) -> list[Record]:
        """What has come since this was last asked; nothing, where nobody answers."""

    @abc.abstractmethod
    def read(self) -> Arrived:
        """All of it, at the end."""

    def committed(self) -> int:
        """How many messages came out."""
        self._note(self.more())
        return len(self._keys)

    def _note(self, found: Sequence[Record]) -> None:
        self._written += len(found)
        self._keys.update(record.key for record in found)

    def written(self) -> int:
        """How many records there are."""
        self.committed()
        return self._written

    def close(self) -> None:  # noqa: B027 - Pub/Sub's need not
        """Closes its clients."""


class KafkaSinks(Sinks):
    """Topics of Kafka."""

    def __init__(self, servers: str, partitions: int) -> None:
        super().__init__()
        self.uris = (f"kafka://{servers}/{SINK}", f"kafka://{servers}/{DEAD_LETTERS}")
        self._servers = servers
        self._consumer = KafkaConsumer(
            bootstrap_servers=servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            reconnect_backoff_max_ms=500,
        )
        self._consumer.assign(
            [TopicPartition(t, p) for t in (SINK, DEAD_LETTERS) for p in range(partitions)]
        )

    def more(self) -> list[Record]:
        try:
            fetched = self._consumer.poll(timeout_ms=0, max_records=5_000)
        except KafkaError:
            return []  # It does not answer now, or denies what it denies the pipeline.
        return [Record.of(r) for r in itertools.chain.from_iterable(fetched.values())]

    def read(self) -> Arrived:
        return Arrived(read(self._servers, SINK), read(self._servers, DEAD_LETTERS))

    def close(self) -> None:
        self._consumer.close()


class PubSubSinks(Sinks):
    """Topics of Pub/Sub."""

    def __init__(self, server: PubSubServer) -> None:
        super().__init__()
        self.uris = (f"pubsub://{PROJECT}/{SINK}", f"pubsub://{PROJECT}/{DEAD_LETTERS}")
        self._server = server
        self._arrived = Arrived([], [])
        for topic in (SINK, DEAD_LETTERS):
            server.create_topic(topic)

    def more(self) -> list[Record]:
        found: list[Record] = []
        for topic, kept in zip((SINK, DEAD_LETTERS), self._arrived, strict=True):
            try:
                published = self._server.read_all(topic)
            except GoogleAPICallError:
                continue  # It does not answer now.
            for m in published:
                content = from_attributes(m.data, m.attributes, m.ordering_key)
                key = content.key or dict(content.headers).get(KEY)
                kept.append(Record(key, content.value or b"", f"{topic}:{m.message_id}"))
                found.append(kept[-1])
        return found

    def read(self) -> Arrived:
        self.more()
        return self._arrived

    @contextlib.contextmanager
    def without_dead_letters(self) -> Iterator[None]:
        """The topic of dead letters is gone meanwhile; what was in it is not."""
        self._server.delete_topic(DEAD_LETTERS)
        try:
            yield
        finally:
            self._note(self.more())
            self._server.delete_subscription(f"all-of-{DEAD_LETTERS}")
            self._server.create_topic(DEAD_LETTERS)
