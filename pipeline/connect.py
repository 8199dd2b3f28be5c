"""Connects endpoints: from what the options name to the transforms that read and write it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import apache_beam as beam

from pipeline.clusters import Clusters
from pipeline.endpoints import (
    SOURCE_QUERY,
    Endpoint,
    FileEndpoint,
    KafkaEndpoint,
    Records,
    StdEndpoint,
    parse,
)
from pipeline.options import RunOptions
from transforms.dead_letters import SplitOutcomes
from transforms.errors import ConfigurationError
from transforms.files.paths import format_by_name
from transforms.files.progress import Part, Progress
from transforms.files.read import FileSource, ReadFromFiles
from transforms.files.write import AppendToFile, WriteToFile, compressed_ending
from transforms.kafka.encode import KafkaTopic
from transforms.kafka.read import KafkaSource, ReadFromKafka
from transforms.kafka.write import WriteDeadLettersToKafka, WriteToKafka
from transforms.reading import ReadUnbounded
from transforms.records import Outcome
from transforms.stdio import StdinSource, WriteToStdout

EXACTLY_ONCE, AT_LEAST_ONCE = "exactly_once", "at_least_once"


@dataclass(frozen=True)
class Ends:
    """The ends of the graph, resolved.

    Attributes:
        source: Where messages come from.
        sink: Where categorized items go.
        dead_letters: Where dead letters go.
        kafka_source: The source, where it is Kafka.
        topic: The sink, where it is Kafka.
        dead_letter_topic: Where dead letters go, where that is Kafka.
        format: What a message's bytes are.
        columns: The column names of CSV without a header line.
        delimiter: What stands between the fields of CSV.
        items: Where the list of items stands in a JSON document.
        delivery: `exactly_once` or `at_least_once`.
        why: Why that delivery, for the log.
        reading: The files to read by micro-batches, where the source is files and the runner local.
        parts: The files that grow beside their targets until a run over files is complete.
        progress: How far a run over files has come, where it is kept.
    """

    source: Endpoint
    sink: Endpoint
    dead_letters: Endpoint
    kafka_source: KafkaSource | None
    topic: KafkaTopic | None
    dead_letter_topic: KafkaTopic | None
    format: str
    columns: tuple[str, ...] | None
    delimiter: str | None
    items: str | None
    delivery: str
    why: str
    reading: FileSource | None = None
    parts: tuple[Part, ...] = ()
    progress: Progress | None = None

    @property
    def bounded(self) -> bool:
        """Whether the source is read as a bounded collection."""
        return isinstance(self.source, FileEndpoint) and self.reading is None

    def read(self) -> beam.PTransform:
        """The transform that reads messages."""
        if self.kafka_source is not None:
            return ReadFromKafka(self.kafka_source)
        if self.reading is not None:
            return ReadUnbounded(self.reading)
        if isinstance(self.source, FileEndpoint):
            return ReadFromFiles(
                self.source.path, self.format, self.columns, self.delimiter, self.items
            )
        return ReadUnbounded(StdinSource(self.format, self.columns, self.delimiter, self.items))

    def write(self) -> beam.PTransform:
        """The transform that writes outcomes, good and dead."""
        return WriteOutcomes(self)


def connect(
    options: RunOptions, *, in_one_process: bool = True, clusters: Clusters | None = None
) -> Ends:
    """Resolves the endpoints that the options name; touches no network.

    Args:
        options: The options.
        in_one_process: Whether the runner reads all shards in one process.
        clusters: Which servers are of one cluster; by default, those with a server in common.

    Raises:
        ConfigurationError: An endpoint can't be what it is used as.
    """
    source, sink = parse(options.source), parse(options.sink)
    dead = parse(options.dead_letters) if options.dead_letters else default_dead_letters(sink)
    records = _records(source, options)
    for end, flag in ((sink, "--sink"), (dead, "--dead_letters")):
        if not isinstance(end, KafkaEndpoint) and end.records != Records():
            raise ConfigurationError(f"{flag} {end.uri!r}: what stands after ? is for sources only")
    topic = _topic(sink, "--sink", options)
    clusters = clusters or Clusters()
    _check_loops(source, sink, dead, clusters)
    dead_letter_topic = _topic(dead, "--dead_letters", options)
    kafka_source = _kafka_source(source, options, in_one_process)
    delivery, why = _delivery(options.delivery, kafka_source, topic, dead_letter_topic, clusters)
    if kafka_source is not None:
        kafka_source = kafka_source.delivering(exactly_once=delivery == EXACTLY_ONCE)
    return Ends(
        source=source,
        sink=sink,
        dead_letters=dead,
        kafka_source=kafka_source,
        topic=topic,
        dead_letter_topic=dead_letter_topic,
        format=records.format or "json",
        columns=records.columns,
        delimiter=records.delimiter,
        items=records.items,
        delivery=delivery,
        why=why,
    )


def _records(source: Endpoint, options: RunOptions) -> Records:
    """What the source's URI and the options say of its records; the URI is stronger."""
    said = source.records
    columns_given = None if options.columns is None else ",".join(options.columns)
    asked = {"columns": columns_given, "delimiter": options.delimiter, "items": options.items}
    given = Records.of("--columns", {k: v for k, v in asked.items() if v is not None})
    columns = said.columns or given.columns
    delimiter = said.delimiter or given.delimiter
    items = said.items if said.items is not None else given.items
    form = options.format or said.format
    if form is None and isinstance(source, FileEndpoint):
        form = format_by_name(source.path)
    form = form or ("csv" if columns or delimiter else "json")
    if (columns or delimiter) and form != "csv":
        raise ConfigurationError(
            f"columns and delimiter are those of CSV, not of {form}: drop them, or give --format csv"
        )
    if items is not None and (form != "json" or isinstance(source, KafkaEndpoint)):
        raise ConfigurationError(
            f"--items {items!r} is for files of JSON, and stdin: drop it, or give --format json"
        )
    if items is not None and not all(items.split(".")):
        raise ConfigurationError(
            f"--items {items!r} names no field: give one, as in articles or response.docs"
        )
    if form == "csv" and isinstance(source, KafkaEndpoint) and columns is None:
        raise ConfigurationError(
            "CSV in a topic has no header line: name its columns, as in --columns id,title,text"
        )
    return Records(form, columns, delimiter, items)


def default_dead_letters(sink: Endpoint) -> Endpoint:
    """Where dead letters go if nobody says: beside the sink."""
    if isinstance(sink, KafkaEndpoint):
        _, mark, query = sink.uri.partition("?")
        topics = ",".join(sink.topics)
        return parse(f"kafka://{sink.servers}/{topics}-dead-letters{mark}{query}")
    # Beside a device or a pipe (`/dev/null`, the `>(…)` of a shell) is no place for a file.
    if isinstance(sink, FileEndpoint) and not _is_device_or_pipe(sink.path):
        end = compressed_ending(sink.path)
        stem = sink.path.removesuffix(end).removesuffix(".jsonl")
        path = f"{stem}.dead_letters.jsonl{end}"
        return FileEndpoint(path, path, "json")
    return StdEndpoint("stderr")


def _is_device_or_pipe(path: str) -> bool:
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))


def _kafka_source(
    endpoint: Endpoint, options: RunOptions, in_one_process: bool
) -> KafkaSource | None:
    if not isinstance(endpoint, KafkaEndpoint):
        return None
    # There, more than one only makes more transactions.
    shards = 1 if options.shards is None and in_one_process else options.shards
    return KafkaSource(
        endpoint.settings(options.kafka_config),
        endpoint.topics,
        endpoint.query.get("group", "newsbeam"),
        start=endpoint.query.get("start", "committed"),
        shards=shards,
        isolation_level=endpoint.query.get("isolation_level", "read_committed"),
        on_offset_out_of_range=options.on_offset_out_of_range,
        max_delay=options.max_delay,
    )


def _topic(endpoint: Endpoint, flag: str, options: RunOptions) -> KafkaTopic | None:
    if not isinstance(endpoint, KafkaEndpoint):
        return None
    if len(endpoint.topics) != 1:
        raise ConfigurationError(
            f"{flag} {endpoint.uri!r} names {len(endpoint.topics)} topics: give one"
        )
    for name in sorted(SOURCE_QUERY & endpoint.query.keys()):
        raise ConfigurationError(f"{flag} {endpoint.uri!r}: {name} is for sources only, drop it")
    return KafkaTopic(endpoint.settings(options.kafka_config), endpoint.topics[0])


def _delivery(
    wanted: str | None,
    source: KafkaSource | None,
    topic: KafkaTopic | None,
    dead_letters: KafkaTopic | None,
    clusters: Clusters,
) -> tuple[str, str]:
    """Which delivery holds, and why."""
    if wanted not in {None, EXACTLY_ONCE, AT_LEAST_ONCE}:
        raise ConfigurationError(
            f"--delivery {wanted!r} is unknown: give {EXACTLY_ONCE} or {AT_LEAST_ONCE}"
        )
    all_kafka = one_cluster = False
    own: list[str] = []
    if source is not None and topic is not None and dead_letters is not None:
        all_kafka = True
        sinks = (topic, dead_letters)
        servers = source.subscription.settings.servers
        one_cluster = all(clusters.same(servers, sink.settings.servers) for sink in sinks)
        own = _own_settings(source, *sinks)
    if wanted == EXACTLY_ONCE and not all_kafka:
        raise ConfigurationError(
            "--delivery exactly_once needs source, sink and dead letters in one Kafka cluster: "
            "give topics of one cluster, or --delivery at_least_once"
        )
    committed_only = source is not None and source.subscription.isolation_level == "read_committed"
    if wanted == EXACTLY_ONCE and not committed_only:
        raise ConfigurationError(
            "--delivery exactly_once reads what is committed: drop isolation_level from --source, or "
            "give --delivery at_least_once"
        )
    if wanted == EXACTLY_ONCE and own:
        raise ConfigurationError(
            "--delivery exactly_once writes with the client settings of --source, but --sink or "
            f"--dead_letters has others: give {', '.join(own)} on --source or for all "
            "(--kafka_config, NEWSBEAM_KAFKA_…), or give --delivery at_least_once"
        )
    if wanted == EXACTLY_ONCE and not one_cluster and clusters.are_known:
        raise ConfigurationError(
            "--delivery exactly_once needs source, sink and dead letters in one Kafka cluster, but "
            "these are several: give topics of one, or --delivery at_least_once"
        )
    if wanted is not None:
        return wanted, "as asked"
    if one_cluster and not committed_only:
        return AT_LEAST_ONCE, "the source is read uncommitted"
    if one_cluster and own:
        return AT_LEAST_ONCE, (
            f"the sink or dead letters have client settings of their own ({', '.join(own)}); for "
            "exactly once give them on the source or for all"
        )
    if one_cluster:
        return EXACTLY_ONCE, "source, sink and dead letters are one Kafka cluster"
    return AT_LEAST_ONCE, "source, sink and dead letters are not one Kafka cluster"


def _own_settings(source: KafkaSource, *sinks: KafkaTopic) -> list[str]:
    """What sinks say of their producers and the source does not, whose settings transactions use."""
    used = source.subscription.settings.for_client("producer")
    return sorted(
        {
            name
            for sink in sinks
            for name, value in sink.settings.for_client("producer").items()
            # Whether it is one cluster is another question.
            if name != "bootstrap_servers" and used.get(name) != value
        }
    )


def _check_loops(source: Endpoint, sink: Endpoint, dead: Endpoint, clusters: Clusters) -> None:
    """Refuses endpoints that would feed on their own output, or mix two streams in one place."""
    for end, flag in ((sink, "--sink"), (dead, "--dead_letters")):
        if _overlap(source, end, clusters):
            raise ConfigurationError(f"{flag} {end.uri!r} is also the source: name another place")
    if _overlap(sink, dead, clusters):
        raise ConfigurationError(
            f"--dead_letters {dead.uri!r} is also the sink: name another place"
        )


def _overlap(one: Endpoint, other: Endpoint, clusters: Clusters) -> bool:
    if isinstance(one, KafkaEndpoint) and isinstance(other, KafkaEndpoint):
        common = set(one.topics) & set(other.topics)
        return bool(common) and clusters.same(one.servers, other.servers)
    if isinstance(one, FileEndpoint) and isinstance(other, FileEndpoint):
        return one.path == other.path
    return False


class WriteOutcomes(beam.PTransform):
    """Writes categorized items to the sink and dead letters to theirs.

    Args:
        ends: Where they go.
    """

    def __init__(self, ends: Ends) -> None:
        super().__init__()
        self._ends = ends

    def expand(self, outcomes: beam.PCollection[Outcome]) -> None:
        ends = self._ends
        if ends.topic and ends.dead_letter_topic:
            # One step writes both: in one transaction, where that is the delivery.
            source = ends.kafka_source if ends.delivery == EXACTLY_ONCE else None
            write = WriteToKafka(ends.topic, ends.dead_letter_topic, source)
            _ = outcomes | "Write to Kafka" >> write
            return
        if ends.topic:
            # No Flatten: dead letters of a stage of their own would be written after the commit.
            letters = outcomes | "Write to Kafka" >> WriteToKafka(ends.topic)
        else:
            categorized, letters = outcomes | "Split outcomes" >> SplitOutcomes()
            _ = categorized | "Write categorized" >> self._write(ends.sink)
        if ends.dead_letter_topic:
            write_letters = WriteDeadLettersToKafka(ends.dead_letter_topic)
            _ = letters | "Write dead letters" >> write_letters
        else:
            _ = letters | "Write dead letters" >> self._write(ends.dead_letters)

    def _write(self, endpoint: Endpoint) -> beam.PTransform:
        if isinstance(endpoint, FileEndpoint):
            return self._write_to_file(endpoint.path)
        return WriteToStdout(stderr=endpoint.uri == "stderr")

    def _write_to_file(self, path: str) -> beam.PTransform:
        if self._ends.bounded:
            return WriteToFile(path)
        for part in self._ends.parts:
            if part.target == os.path.realpath(path):
                return AppendToFile(part.path, part.target)
        return AppendToFile(path)
