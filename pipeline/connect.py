"""Connects endpoints: from what the options name to the transforms that read and write it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import apache_beam as beam

from pipeline.endpoints import Endpoint, FileEndpoint, KafkaEndpoint, StdEndpoint, parse
from pipeline.options import RunOptions
from transforms.dead_letters import SplitOutcomes
from transforms.errors import ConfigurationError
from transforms.files import AppendToFile, ReadFromFiles, WriteToFile
from transforms.kafka.read import KafkaSource, ReadFromKafka
from transforms.kafka.settings import KafkaSettings
from transforms.kafka.write import KafkaTopic, WriteDeadLettersToKafka, WriteToKafka
from transforms.reading import ReadUnbounded
from transforms.records import Outcome
from transforms.stdio import StdinSource, WriteToStdout

#: What the query of a source's URI says to us; anything else in it is a Kafka client setting.
_SOURCE_QUERY = {"group", "start", "isolation_level"}
_CONFIG = "config"


@dataclass(frozen=True)
class Connections:
    """The ends of the graph.

    Attributes:
        source: Reads messages.
        sink: Writes outcomes, good and dead.
        format: What a message's bytes are.
        bounded: Whether the source ends by itself.
        description: One line for the log.
        kafka_source: The Kafka source, where it is one.
        topics: The Kafka topics written to.
    """

    source: beam.PTransform
    sink: beam.PTransform
    format: str
    bounded: bool
    description: str
    kafka_source: KafkaSource | None
    topics: tuple[KafkaTopic, ...]


def connect(options: RunOptions) -> Connections:
    """Makes the transforms for the endpoints that the options name; touches no network.

    Raises:
        ConfigurationError: An endpoint can't be what it is used as.
    """
    source, sink = parse(options.source), parse(options.sink)
    dead = parse(options.dead_letters) if options.dead_letters else default_dead_letters(sink)
    kafka_source = _kafka_source(source, options) if isinstance(source, KafkaEndpoint) else None
    bounded = isinstance(source, FileEndpoint)
    _check_loops(source, sink, dead)
    ends = [(end, name) for end, name in ((sink, "--sink"), (dead, "--dead_letters"))]
    topics = {name: _topic(e, name, options) for e, name in ends if isinstance(e, KafkaEndpoint)}
    return Connections(
        source=_read(source, kafka_source, options),
        sink=WriteOutcomes(sink, dead, topics, bounded),
        format=options.format or (source.format if isinstance(source, FileEndpoint) else "json"),
        bounded=bounded,
        description=f"{options.source} -> {options.sink}, dead letters -> {dead.uri}",
        kafka_source=kafka_source,
        topics=tuple(topics.values()),
    )


def default_dead_letters(sink: Endpoint) -> Endpoint:
    """Where dead letters go if nobody says: beside the sink."""
    if isinstance(sink, KafkaEndpoint):
        head, mark, query = sink.uri.partition("?")
        return parse(f"{head}-dead-letters{mark}{query}")
    if isinstance(sink, FileEndpoint):
        gz = ".gz" if sink.path.endswith(".gz") else ""
        stem = sink.path.removesuffix(".gz").removesuffix(".jsonl")
        return parse(f"{stem}.dead_letters.jsonl{gz}")
    return StdEndpoint("stderr")


def settings_of(endpoint: KafkaEndpoint, kafka_config: str | None) -> KafkaSettings:
    """The client settings of an endpoint."""
    query = {k: v for k, v in endpoint.query.items() if k not in _SOURCE_QUERY | {_CONFIG}}
    return KafkaSettings.of(endpoint.servers, endpoint.query.get(_CONFIG, kafka_config), query)


def _kafka_source(endpoint: KafkaEndpoint, options: RunOptions) -> KafkaSource:
    return KafkaSource(
        settings_of(endpoint, options.kafka_config),
        endpoint.topics,
        endpoint.query.get("group", "newsbeam"),
        start=endpoint.query.get("start", "committed"),
        shards=options.shards,
        isolation_level=endpoint.query.get("isolation_level", "read_committed"),
    )


def _topic(endpoint: KafkaEndpoint, flag: str, options: RunOptions) -> KafkaTopic:
    if len(endpoint.topics) != 1:
        raise ConfigurationError(
            f"{flag} {endpoint.uri!r} names {len(endpoint.topics)} topics: give one"
        )
    for name in _SOURCE_QUERY & endpoint.query.keys():
        raise ConfigurationError(f"{flag} {endpoint.uri!r}: {name} is for sources only, drop it")
    return KafkaTopic(settings_of(endpoint, options.kafka_config), endpoint.topics[0])


def _read(
    endpoint: Endpoint, kafka_source: KafkaSource | None, options: RunOptions
) -> beam.PTransform:
    if kafka_source is not None:
        return ReadFromKafka(kafka_source)
    if isinstance(endpoint, FileEndpoint):
        return ReadFromFiles(endpoint.path, options.format or endpoint.format, endpoint.columns)
    return ReadUnbounded(StdinSource(options.format or "json"))


def _check_loops(source: Endpoint, sink: Endpoint, dead: Endpoint) -> None:
    """Refuses endpoints that would feed on their own output, or mix two streams in one file."""
    for end, flag in ((sink, "--sink"), (dead, "--dead_letters")):
        if isinstance(source, KafkaEndpoint) and isinstance(end, KafkaEndpoint):
            same = set(source.servers.split(",")) & set(end.servers.split(","))
            if same and set(source.topics) & set(end.topics):
                raise ConfigurationError(
                    f"{flag} {end.uri!r} is also the source: name another topic"
                )
        both_files = isinstance(end, FileEndpoint) and isinstance(source, FileEndpoint)
        if both_files and end.path == source.path:
            raise ConfigurationError(
                    f"{flag} {end.uri!r} is also the source: name another file"
                )
    if isinstance(sink, FileEndpoint) and isinstance(dead, FileEndpoint) and sink.path == dead.path:
        raise ConfigurationError(f"--dead_letters {dead.uri!r} is also the sink: name another file")


class WriteOutcomes(beam.PTransform):
    """Writes categorized items to the sink and dead letters to theirs.

    Args:
        sink: Where categorized items go.
        dead_letters: Where dead letters go.
        topics: The Kafka topics among them, by flag.
        bounded: Whether the stream ends.
    """

    def __init__(
        self,
        sink: Endpoint,
        dead_letters: Endpoint,
        topics: dict[str, KafkaTopic],
        bounded: bool,
    ) -> None:
        super().__init__()
        self._topics = topics
        self._sink = sink
        self._dead_letters = dead_letters
        self._to_file: Callable[[str], beam.PTransform] = WriteToFile if bounded else AppendToFile

    def expand(self, outcomes: beam.PCollection[Outcome]) -> None:
        sink, dead = self._topics.get("--sink"), self._topics.get("--dead_letters")
        if sink and dead:
            _ = outcomes | "Write to Kafka" >> WriteToKafka(sink, dead)
            return
        categorized, letters = outcomes | "Split outcomes" >> SplitOutcomes()
        if sink:
            unwritten = categorized | "Write to Kafka" >> WriteToKafka(sink)
            letters = (letters, unwritten) | "All dead letters" >> beam.Flatten()
        else:
            _ = categorized | "Write categorized" >> self._write(self._sink)
        if dead:
            _ = letters | "Write dead letters" >> WriteDeadLettersToKafka(dead)
        else:
            _ = letters | "Write dead letters" >> self._write(self._dead_letters)

    def _write(self, endpoint: Endpoint) -> beam.PTransform:
        if isinstance(endpoint, FileEndpoint):
            return self._to_file(endpoint.path)
        return WriteToStdout(stderr=endpoint.uri == "stderr")
