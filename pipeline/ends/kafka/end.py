"""Topics as source, sink and dead letters: exactly once, where all of them are of one cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from models.settings import Option, SettingsSet, settings
from pipeline.ends.end import Candidate, End, Obstacle, Peek, Role, Run, SinkEnd, SourceEnd
from pipeline.ends.kafka.clusters import Cluster, Unknown, same_cluster
from pipeline.ends.kafka.uri import parse
from pipeline.ends.letters import Letters, Publisher, Taking
from pipeline.ends.records import TOPIC_QUERY, Records
from pipeline.ends.registry import RESULTS, check_schemas, item_encoder, plain_secrets, results_of
from pipeline.ends.uris import shown, without
from transforms.errors import ConfigurationError
from transforms.formats.names import FORMATS
from transforms.kafka.settings import KafkaSettings
from transforms.news_settings import NewsSettings
from transforms.records import Message

if TYPE_CHECKING:
    import apache_beam as beam

    from transforms.kafka.encode import KafkaTopic
    from transforms.kafka.read import KafkaSource
    from transforms.tally import Backlog
    from transforms.writing import Share

#: What the query of a topic says to us; anything else in it is a Kafka client setting.
SOURCE_QUERY = {"group", "start", "isolation_level"} | TOPIC_QUERY
#: A properties file for one endpoint, in its query.
_CONFIG = "config"


@settings(panel="Kafka")
class KafkaOptions:
    """How Kafka is read and written."""

    kafka_config: Annotated[
        str | None,
        Option(
            "Properties file with Kafka client settings (TLS, SASL); the environment variables "
            "`NEWSBEAM_KAFKA_<SETTING>` are stronger. Default: none, plain text.",
            metavar="FILE",
        ),
    ] = None
    on_offset_out_of_range: Annotated[
        str,
        Option(
            "What to do when the topic's retention deleted records before they were read: "
            "fail, since going on is loss, or go on at the earliest or latest record.",
            metavar="POLICY",
        ),
    ] = "fail"
    create_topics: Annotated[
        bool,
        Option(
            "Create the topics of sinks and dead letters where they are missing, with the "
            "broker's default partitions and replicas; otherwise a missing topic is an error."
        ),
    ] = False


@dataclass(frozen=True)
class KafkaEnd(End):
    """Topics of a cluster.

    Attributes:
        servers: `host:port[,host:port]`.
        topics: The topics; a sink has one.
        query: What stood after `?`.
        cluster: The cluster, once it was asked.
    """

    servers: str
    topics: tuple[str, ...]
    query: dict[str, str] = field(default_factory=dict, hash=False)
    cluster: Cluster | Unknown | None = None

    SCHEMES: ClassVar[tuple[str, ...]] = ("kafka",)
    FORM: ClassVar[str] = "kafka://host:port/topic"
    OPTIONS: ClassVar[type | None] = KafkaOptions

    @classmethod
    def parse(cls, uri: str) -> KafkaEnd:
        servers, topics, query = parse(uri)
        return cls(uri, servers, topics, query, records=Records.of(shown(uri), query, FORMATS))

    @classmethod
    def recognized(cls, ends: Sequence[KafkaEnd], options: SettingsSet) -> Sequence[KafkaEnd]:
        if len({end.servers for end in ends}) < 2:
            return ends
        from pipeline.ends.kafka.checks import cluster_of

        config = options.of(KafkaOptions).kafka_config
        known = {end.servers: cluster_of(end.settings(config)) for end in ends}
        return [dataclasses.replace(end, cluster=known[end.servers]) for end in ends]

    def settings(self, kafka_config: str | None = None) -> KafkaSettings:
        """Its client settings; a properties file of its own is read instead of `kafka_config`.

        Raises:
            ConfigurationError: A setting can't be, or the file can't be read.
        """
        query = {k: v for k, v in self.query.items() if k not in SOURCE_QUERY | {_CONFIG}}
        return KafkaSettings.of(self.servers, self.query.get(_CONFIG, kafka_config), query)

    def news(self, news: NewsSettings) -> NewsSettings:
        return self.records.of_messages(news)

    def is_same_cluster(self, other: KafkaEnd) -> bool:
        """Whether both are of one cluster: by its id, or else by a server that both name."""
        return same_cluster(self.servers, self.cluster, other.servers, other.cluster)

    def is_same_place(self, other: End) -> bool:
        if not isinstance(other, KafkaEnd):
            return False
        return bool(set(self.topics) & set(other.topics)) and self.is_same_cluster(other)

    def beside(self) -> End:
        # Dead letters are the original bytes, whatever results are.
        query = without(self.uri.partition("?")[2], RESULTS)
        topics = ",".join(self.topics)
        beside = self.parse(f"kafka://{self.servers}/{topics}-dead-letters{query}")
        return dataclasses.replace(beside, cluster=self.cluster)

    def source(self, run: Run) -> KafkaFrom:
        from transforms.kafka.read import KafkaSource

        options = run.options.of(KafkaOptions)
        source = KafkaSource(
            self.settings(options.kafka_config),
            self.topics,
            self.query.get("group", "newsbeam"),
            start=self.query.get("start", "committed"),
            # In one process, more than one only makes more transactions.
            shards=1 if run.ends.shards is None and run.local else run.ends.shards,
            isolation_level=self.query.get("isolation_level", "read_committed"),
            on_offset_out_of_range=options.on_offset_out_of_range,
            max_delay=run.ends.max_delay,
        )
        return KafkaFrom(self, run, source)

    def sink(self, role: Role, run: Run) -> KafkaTo:
        from transforms.kafka.encode import KafkaTopic

        if len(self.topics) != 1:
            raise ConfigurationError(
                f"{role} {self.uri!r} names {len(self.topics)} topics: give one"
            )
        for name in sorted((SOURCE_QUERY & self.query.keys()) - results_of(role)):
            raise ConfigurationError(f"{role} {self.uri!r}: {name} is for sources only, drop it")
        settings = self.settings(run.options.of(KafkaOptions).kafka_config)
        return KafkaTo(self, role, run, KafkaTopic(settings, self.topics[0]))

    def peek(self, how: Peek, options: SettingsSet) -> Generator[list[Message]]:
        from pipeline.ends.kafka.peek import read_topics

        return read_topics(
            self.uri,
            self.settings(options.of(KafkaOptions).kafka_config),
            self.topics,
            isolation_level=self.query.get("isolation_level", "read_committed"),
            start="latest" if how.latest else "earliest",
            follow=how.follow,
        )

    def letters(self, how: Taking, options: SettingsSet) -> Letters:
        from pipeline.ends.kafka.replay import KafkaLetters

        for name in sorted((SOURCE_QUERY - {"group"}) & self.query.keys()):
            raise ConfigurationError(
                f"FROM {self.uri!r}: {name} changes nothing here, drop it; --from_start begins at the "
                "first dead letter"
            )
        return KafkaLetters(
            self.settings(options.of(KafkaOptions).kafka_config),
            self.topics,
            self.query.get("group", f"newsbeam-replay-{'+'.join(sorted(set(self.topics)))}"),
            self.cluster,
            how,
        )

    def publisher(self, options: SettingsSet) -> Publisher:
        from pipeline.ends.kafka.replay import KafkaPublisher

        if len(self.topics) != 1:
            raise ConfigurationError(f"TO {self.uri!r} names {len(self.topics)} topics: give one")
        for name in sorted(SOURCE_QUERY & self.query.keys()):
            raise ConfigurationError(f"TO {self.uri!r}: {name} is for sources only, drop it")
        asked = options.of(KafkaOptions)
        settings = self.settings(asked.kafka_config)
        return KafkaPublisher(settings, self.topics[0], self.cluster, asked.create_topics)


@dataclass(frozen=True)
class KafkaFrom(SourceEnd):
    """Topics that are read.

    Attributes:
        source: How.
    """

    end: KafkaEnd
    source: KafkaSource

    ONCE: ClassVar[str] = "source, sink and dead letters are one Kafka cluster"

    def checked(self) -> KafkaFrom:
        from pipeline.ends.kafka.checks import check_source

        check_schemas(self.run.news, self.run.checks)
        if self.run.checks.skips("kafka"):
            if self.run.ends.stop_at_end:
                raise ConfigurationError(
                    "--stop_at_end asks the brokers where their topics end: drop it, or drop kafka "
                    "from --skip_checks"
                )
            return self
        checked = check_source(self.source, stop_at_end=self.run.ends.stop_at_end)
        return dataclasses.replace(self, source=checked)

    def plain_secrets(self) -> list[str]:
        found = plain_secrets(Records(), self.run.news)
        return [*self.source.subscription.settings.plain_secrets(), *found]

    def read(self) -> beam.PTransform:
        from transforms.kafka.read import ReadFromKafka

        return ReadFromKafka(self.source)

    def obstacle(self, sinks: Sequence[SinkEnd]) -> Obstacle | None:
        topics = [sink for sink in sinks if isinstance(sink, KafkaTo)]
        if len(topics) < len(sinks):
            return super().obstacle(sinks)
        if not all(self.end.is_same_cluster(sink.end) for sink in topics):
            return Obstacle(
                "source, sink and dead letters are not one Kafka cluster",
                "needs source, sink and dead letters in one Kafka cluster, but these are several: "
                "give topics of one, or --delivery at_least_once",
            )
        if self.source.subscription.isolation_level != "read_committed":
            return Obstacle(
                "the source is read uncommitted",
                "reads what is committed: drop isolation_level from --source, or give --delivery "
                "at_least_once",
            )
        if own := self._own_settings(topics):
            return Obstacle(
                "the sink or dead letters have client settings of their own "
                f"({', '.join(own)}); for exactly once give them on the source or for all",
                "writes with the client settings of --source, but --sink or --dead_letters has "
                f"others: give {', '.join(own)} on --source or for all (--kafka_config, "
                "NEWSBEAM_KAFKA_…), or give --delivery at_least_once",
            )
        return None

    def _own_settings(self, sinks: Sequence[KafkaTo]) -> list[str]:
        """What sinks say of their producers and the source does not, whose settings are used."""
        used = self.source.subscription.settings.for_client("producer")
        return sorted(
            {
                name
                for sink in sinks
                for name, value in sink.topic.settings.for_client("producer").items()
                # Whether it is one cluster is another question.
                if name != "bootstrap_servers" and used.get(name) != value
            }
        )

    def delivering(self, exactly_once: bool) -> KafkaFrom:
        return dataclasses.replace(self, source=self.source.delivering(exactly_once))

    def check_standby(self) -> None:
        if self.source.subscription.start != "committed":
            raise ConfigurationError(
                f"--standby goes on where the instance before has committed, and {self.end.uri!r} would "
                "have each one begin elsewhere: drop ?start"
            )

    def candidate(self) -> Candidate:
        from transforms.kafka.leader import Leader

        read = self.source.subscription
        return Leader(read.settings, read.topics, read.group)

    def write(self, shares: Sequence[tuple[Share, SinkEnd]]) -> beam.PTransform | None:
        if not self.source.subscription.exactly_once:
            return None
        from transforms.kafka.write import WriteInTransactions

        topics = [(share, sink.topic) for share, sink in shares if isinstance(sink, KafkaTo)]
        return WriteInTransactions(topics, self.source)

    def backlog(self) -> Backlog | None:
        from transforms.kafka.lag import lag_of

        return lag_of(self.source.subscription)

    def close(self) -> None:
        from transforms.kafka.lag import close_lags
        from transforms.kafka.session import close_sessions

        close_lags()
        close_sessions()


@dataclass(frozen=True)
class KafkaTo(SinkEnd):
    """A topic that is written to.

    Attributes:
        topic: The topic, and what it takes.
        in_transactions: Whether the source writes to it.
    """

    end: KafkaEnd
    topic: KafkaTopic
    in_transactions: bool = False

    def checked(self) -> KafkaTo:
        from pipeline.ends.kafka.checks import check_producer, check_sink

        create, checks = self.run.options.of(KafkaOptions).create_topics, self.run.checks
        topic = self.topic
        if not checks.skips("kafka"):
            topic = check_sink(topic, self.role, create, look_only=checks.dry_run)
            if not self.in_transactions:
                check_producer(topic.settings)
        news = self.run.options.of(NewsSettings)
        items = item_encoder(self.end.records, news, topic.name, checks)
        return dataclasses.replace(self, topic=topic._replace(items=items))

    def plain_secrets(self) -> list[str]:
        found = plain_secrets(self.end.records, self.run.options.of(NewsSettings))
        return [*self.topic.settings.plain_secrets(), *found]

    def delivering(self, exactly_once: bool) -> KafkaTo:
        return dataclasses.replace(self, in_transactions=exactly_once)

    def write(self, share: Share) -> beam.PTransform:
        from transforms.kafka.write import KafkaSink
        from transforms.writing import WriteOutcomes

        return WriteOutcomes(KafkaSink(self.topic), share)

    def close(self) -> None:
        from transforms.kafka.producers import close_producers

        close_producers()
