"""Google Cloud Pub/Sub: a subscription as source, topics as sinks and dead letters."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from models.settings import Option, SettingsSet, settings
from pipeline.ends.end import End, Peek, Role, Run, SinkEnd, SourceEnd
from pipeline.ends.letters import Letters, Publisher, Taking
from pipeline.ends.records import TOPIC_QUERY, Records
from pipeline.ends.registry import RESULTS, check_schemas, item_encoder, plain_secrets, results_of
from pipeline.ends.uris import query_of, shown, without
from transforms.errors import ConfigurationError
from transforms.formats.names import FORMATS
from transforms.news_settings import NewsSettings
from transforms.records import Message

if TYPE_CHECKING:
    import apache_beam as beam

    from transforms.pubsub.client import PubSubSettings
    from transforms.pubsub.encode import PubSubTopic
    from transforms.pubsub.read import PubSubSource
    from transforms.writing import Share

log = logging.getLogger("newsbeam")

_FORM = "write pubsub://PROJECT/SUBSCRIPTION for a source, pubsub://PROJECT/TOPIC for a sink"
_URI = re.compile(r"pubsub://([^/?#]+)/([^/?#]+)/?(?:\?(.*))?", re.IGNORECASE)
#: What the query of a source says.
_SOURCE_QUERY = TOPIC_QUERY
#: A regional endpoint, in the query of both.
_ENDPOINT = "endpoint"
#: Messages a second that a reader should be able to hold until a checkpoint.
RATE = 1000.0
#: The runner on which Beam's own connector is the native one.
_DATAFLOW = "DataflowRunner"


@settings(panel="Pub/Sub")
class PubSubOptions:
    """How Pub/Sub is read and written."""

    time_attribute: Annotated[
        str | None,
        Option(
            "Attribute that holds a message's time, in RFC 3339 or milliseconds since the epoch. "
            "Default: the time at which it was published.",
            metavar="NAME",
        ),
    ] = None
    dedupe_attribute: Annotated[
        str | None,
        Option(
            "Attribute that tells doubles, which are dropped as far as memory goes: the last 100,000 "
            "values of ten minutes in each reader. `message_id`: Pub/Sub's own, which tells what was "
            "delivered again.",
            metavar="NAME",
        ),
    ] = None
    max_outstanding: Annotated[
        int | None,
        Option(
            "The most messages that a reader holds without having acknowledged them (flow control), "
            "which it does when a bundle is final: on Flink with its checkpoints. Default: 5,000, or "
            "as many as two checkpoints of 1,000 messages a second take.",
            metavar="MESSAGES",
            min=1,
        ),
    ] = None
    ordering_keys: Annotated[
        bool,
        Option(
            "Publish under a message's key as ordering key, so that subscriptions with message "
            "ordering get those of one key in order."
        ),
    ] = False


@dataclass(frozen=True)
class PubSubEnd(End):
    """A subscription or a topic.

    Attributes:
        project: Its project.
        name: Its name.
        query: What stood after `?`.
    """

    project: str
    name: str
    query: dict[str, str] = field(default_factory=dict, hash=False)

    SCHEMES: ClassVar[tuple[str, ...]] = ("pubsub",)
    FORM: ClassVar[str] = "pubsub://PROJECT/NAME"
    OPTIONS: ClassVar[type | None] = PubSubOptions

    @classmethod
    def parse(cls, uri: str) -> PubSubEnd:
        found = _URI.fullmatch(uri)
        if found is None:
            raise ConfigurationError(f"{shown(uri)!r} is no Pub/Sub URI: {_FORM}")
        project, name, text = found.groups()
        query = query_of(uri, text or "")
        for unknown in sorted(query.keys() - _SOURCE_QUERY - {_ENDPOINT}):
            raise ConfigurationError(
                f"{unknown!r} in {uri!r} is unknown: Pub/Sub's URIs take {_ENDPOINT}, format and "
                "schema_registry, and those of a source columns and delimiter"
            )
        return cls(uri, project, name, query, records=Records.of(uri, query, FORMATS))

    def settings(self) -> PubSubSettings:
        """How to reach it.

        Raises:
            ConfigurationError: Google's client is not installed.
        """
        try:
            from transforms.pubsub.client import PubSubSettings
        except ImportError:
            raise ConfigurationError(
                f"{self.uri!r} needs Google's client: pip install 'newsbeam[pubsub]'"
            ) from None

        return PubSubSettings.from_environment(self.query.get(_ENDPOINT))

    def news(self, news: NewsSettings) -> NewsSettings:
        return self.records.of_messages(news)

    def is_same_place(self, other: End) -> bool:
        # What a subscription is of only the service knows: `checked` asks it.
        return isinstance(other, PubSubEnd) and (
            (self.project, self.name) == (other.project, other.name)
        )

    def beside(self) -> End:
        # Dead letters are the original bytes, whatever results are.
        query = without(self.uri.partition("?")[2], RESULTS)
        return self.parse(f"pubsub://{self.project}/{self.name}-dead-letters{query}")

    def source(self, run: Run) -> PubSubFrom:
        settings, options = self.settings(), run.options.of(PubSubOptions)
        from transforms.pubsub.read import PubSubSource
        from transforms.pubsub.subscription import MAX_MESSAGES, outstanding

        most = options.max_outstanding or max(MAX_MESSAGES, outstanding(RATE, run.checkpoint or 0))
        source = PubSubSource(
            settings,
            self.project,
            self.name,
            shard_count=run.ends.shards or 1,
            time_attribute=options.time_attribute,
            dedupe_attribute=options.dedupe_attribute,
            max_delay=run.ends.max_delay,
            max_messages=most,
        )
        return PubSubFrom(self, run, source.ending() if run.ends.stop_at_end else source)

    def sink(self, role: Role, run: Run) -> PubSubTo:
        for name in sorted((_SOURCE_QUERY & self.query.keys()) - results_of(role)):
            raise ConfigurationError(f"{role} {self.uri!r}: {name} is for sources only, drop it")
        ordering = run.options.of(PubSubOptions).ordering_keys
        settings = self.settings()
        from transforms.pubsub.encode import PubSubTopic

        topic = PubSubTopic(settings, self.project, self.name, ordering)
        return PubSubTo(self, role, run, topic)

    def letters(self, how: Taking, options: SettingsSet) -> Letters:
        from pipeline.ends.pubsub.replay import PubSubLetters

        for name in sorted(_SOURCE_QUERY & self.query.keys()):
            raise ConfigurationError(f"FROM {self.uri!r}: {name} changes nothing here, drop it")
        return PubSubLetters(self.settings(), self.project, self.name, how)

    def publisher(self, options: SettingsSet) -> Publisher:
        from pipeline.ends.pubsub.replay import PubSubPublisher
        from transforms.pubsub.encode import PubSubTopic

        for name in sorted(_SOURCE_QUERY & self.query.keys()):
            raise ConfigurationError(f"TO {self.uri!r}: {name} is for sources only, drop it")
        ordering = options.of(PubSubOptions).ordering_keys
        return PubSubPublisher(PubSubTopic(self.settings(), self.project, self.name, ordering))

    def peek(self, how: Peek, options: SettingsSet) -> Generator[list[Message]]:
        settings = self.settings()
        from transforms.pubsub.checks import check_subscription
        from transforms.pubsub.peek import peek

        check_subscription(settings, self.project, self.name)
        return peek(settings, self.project, self.name, follow=how.follow)


@dataclass(frozen=True)
class PubSubFrom(SourceEnd):
    """A subscription that is read.

    Attributes:
        source: How.
        topic: What it is a subscription of, once it was asked: `projects/PROJECT/topics/TOPIC`.
    """

    end: PubSubEnd
    source: PubSubSource
    topic: str | None = None

    @property
    def native(self) -> bool:
        """Whether Beam's own connector reads it, which is Dataflow's."""
        return self.run.runner == _DATAFLOW

    def checked(self) -> PubSubFrom:
        from transforms.pubsub.checks import check_subscription

        check_schemas(self.run.news, self.run.checks)
        if self.run.checks.skips("pubsub"):
            return self
        with _of(Role.SOURCE):
            found = check_subscription(self.end.settings(), self.end.project, self.end.name)
        for note in found.notes:
            log.info("--source: %s", note)
        for warning in found.warnings:
            log.warning("--source: %s", warning)
        return dataclasses.replace(self, topic=found.topic)

    def plain_secrets(self) -> list[str]:
        return plain_secrets(Records(), self.run.news)

    def reads(self, end: End) -> bool:
        if isinstance(end, PubSubEnd) and self.topic is not None:
            return self.topic == f"projects/{end.project}/topics/{end.name}"
        return False

    def read(self) -> beam.PTransform:
        if self.native:
            from transforms.pubsub.native import ReadNatively

            return ReadNatively(self.source.subscription)
        from transforms.pubsub.read import ReadFromPubSub

        return ReadFromPubSub(self.source)

    def close(self) -> None:
        from transforms.pubsub.client import close_channels
        from transforms.pubsub.read import close_readers

        close_readers()
        close_channels()


@dataclass(frozen=True)
class PubSubTo(SinkEnd):
    """A topic that is published to.

    Attributes:
        topic: The topic.
    """

    end: PubSubEnd
    topic: PubSubTopic

    def checked(self) -> PubSubTo:
        from transforms.pubsub.checks import check_topic

        checks, news = self.run.checks, self.run.options.of(NewsSettings)
        if not checks.skips("pubsub"):
            with _of(self.role):
                check_topic(self.end.settings(), self.end.project, self.end.name)
        items = item_encoder(self.end.records, news, self.end.name, checks)
        return dataclasses.replace(self, topic=dataclasses.replace(self.topic, items=items))

    def plain_secrets(self) -> list[str]:
        return plain_secrets(self.end.records, self.run.options.of(NewsSettings))

    def write(self, share: Share) -> beam.PTransform:
        if self.run.runner == _DATAFLOW:
            from transforms.pubsub.native import WriteNatively

            return WriteNatively(self.topic, share)
        from transforms.pubsub.write import PubSubSink
        from transforms.writing import WriteOutcomes

        return WriteOutcomes(PubSubSink(self.topic), share)

    def close(self) -> None:
        from transforms.pubsub.client import close_channels

        close_channels()


@contextlib.contextmanager
def _of(role: Role) -> Iterator[None]:
    """Says which flag has named what can't be."""
    try:
        yield
    except ConfigurationError as e:
        raise ConfigurationError(f"{role}: {e}") from e
