"""Where messages are sent to and outcomes are found, for `benchmarks.ends`: topics, files, folders."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from pipeline.ends.files.peek import read_files
from pipeline.outcomes import outcome_of
from tests.servers.pubsub import PROJECT, PubSubServer
from transforms.pubsub.attributes import from_attributes
from transforms.records import Message, Outcome

PARTITIONS = 4
#: Two polls in a row that give nothing are the end of a topic.
_EMPTY = 2


class From(abc.ABC):
    """What newsbeam reads.

    Attributes:
        uri: As `--source`.
        endless: Whether more may come, so that somebody has to end the run.
    """

    uri: str
    endless = True

    @abc.abstractmethod
    def put(self, values: Sequence[bytes]) -> None:
        """Sends messages."""


class To(abc.ABC):
    """What newsbeam writes to.

    Attributes:
        uri: As `--sink`.
        letters: As `--dead_letters`.
    """

    uri: str
    letters: str

    def __init__(self) -> None:
        self._found: list[Outcome] = []

    @abc.abstractmethod
    def _more(self) -> Iterator[Message]:
        """What came since this was last asked."""

    def found(self) -> list[Outcome]:
        """All that has come out by now."""
        self._found += [outcome_of(message) for message in self._more()]
        return self._found


class FromPubSub(From):
    """A subscription."""

    def __init__(self, server: PubSubServer, name: str) -> None:
        self._server, self._name = server, name
        server.create_topic(name)
        server.create_subscription(f"{name}-sub", name)
        self.uri = f"pubsub://{PROJECT}/{name}-sub"

    def put(self, values: Sequence[bytes]) -> None:
        # An attribute each: there is no message without data and attributes.
        self._server.publish(self._name, values, lambda n: {"n": str(n)})


class ToPubSub(To):
    """Two topics."""

    def __init__(self, server: PubSubServer, name: str) -> None:
        super().__init__()
        self._server = server
        self._names = name, f"{name}-dead-letters"
        for topic in self._names:
            server.create_topic(topic)
        self.uri, self.letters = (f"pubsub://{PROJECT}/{topic}" for topic in self._names)

    def _more(self) -> Iterator[Message]:
        for name in self._names:
            for m in self._server.read_all(name):
                content = from_attributes(m.data, m.attributes, m.ordering_key)
                yield Message(content.value, content.key, content.headers)


class FromKafka(From):
    """A topic, read by a group of its own."""

    def __init__(self, servers: str, name: str) -> None:
        self._servers, self._name = servers, name
        self.uri = f"kafka://{servers}/{name}?group={name}"

    def put(self, values: Sequence[bytes]) -> None:
        producer = KafkaProducer(
            bootstrap_servers=self._servers, linger_ms=20, max_request_size=4 << 20
        )
        for n, value in enumerate(values):
            producer.send(self._name, value, partition=n % PARTITIONS)
        producer.flush()
        producer.close()


class ToKafka(To):
    """Two topics."""

    def __init__(self, servers: str, name: str) -> None:
        super().__init__()
        self.uri, self.letters = (f"kafka://{servers}/{name}{end}" for end in topics_of_sink(""))
        self._consumer = KafkaConsumer(
            bootstrap_servers=servers,
            isolation_level="read_committed",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
        )
        partitions = [
            TopicPartition(topic, p)
            for topic in topics_of_sink(name)
            for p in self._consumer.partitions_for_topic(topic) or ()
        ]
        self._consumer.assign(partitions)
        self._consumer.seek_to_beginning(*partitions)

    def _more(self) -> Iterator[Message]:
        empty = 0
        while empty < _EMPTY:
            fetched = self._consumer.poll(timeout_ms=200, max_records=5000)
            empty = 0 if fetched else empty + 1
            for r in itertools.chain.from_iterable(fetched.values()):
                yield Message(r.value, r.key, tuple(r.headers))


def topics_of_sink(name: str) -> tuple[str, str]:
    """The topics that a sink of a name has in Kafka."""
    return name, f"{name}-dead-letters"


class FromFiles(From):
    """A file of JSON lines."""

    endless = False

    def __init__(self, folder: Path) -> None:
        self.uri = str(folder / "news.jsonl")

    def put(self, values: Sequence[bytes]) -> None:
        # A message with a line break is no line.
        Path(self.uri).write_bytes(b"".join(value + b"\n" for value in values))


class ToFolder(To):
    """Two folders, of files that appear when they are whole."""

    def __init__(self, folder: Path, query: str, more: str = "") -> None:
        super().__init__()
        self._folders = folder / "out", folder / "dead"
        self.uri = f"{self._folders[0]}/?{query}{more}"
        self.letters = f"{self._folders[1]}/?format=jsonl{more}"
        self._read: set[Path] = set()

    @property
    def files(self) -> set[Path]:
        """The files that have appeared."""
        return {
            path
            for folder in self._folders
            for path in folder.rglob("*.*")
            # What newsbeam is at work on is hidden.
            if not any(part.startswith(".") for part in path.relative_to(folder).parts)
        }

    def _more(self) -> Iterator[Message]:
        new = self.files - self._read
        self._read |= new
        for path in sorted(new):
            for messages in read_files(str(path)):
                yield from messages
