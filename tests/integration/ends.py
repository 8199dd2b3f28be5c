"""Ends of all kinds for tests by the command line: messages into a source, outcomes out of a sink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.ends.files.peek import read_files
from pipeline.outcomes import outcome_of
from tests.integration.harness import Sent, Topics, read_topic
from tests.integration.pubsub import News
from tests.servers.pubsub import PROJECT, Published
from transforms.pubsub.attributes import from_attributes
from transforms.records import CategorizedItem, DeadLetter, Message, Outcome

#: The smallest model: what is tested here is what is around it.
MODEL = ("--model", str(Path(__file__).parents[2] / "models" / "ag_news_mini"))
AT_LEAST_ONCE = (
    "delivery at least once: source, sink and dead letters are not one Kafka cluster; what comes twice "
    "has the same id"
)


class Ends:
    """A source and a sink of each kind, for one test.

    Args:
        topics: Those of Kafka.
        news: Those of Pub/Sub.
        folder: An empty folder.
    """

    def __init__(self, topics: Topics, news: News, folder: Path) -> None:
        self.topics, self.news, self.folder = topics, news, folder
        self._seen: list[Published] = []
        file = folder / "news.jsonl"
        at = f"kafka://{topics.servers}"
        self.sources = {
            "kafka": f"{at}/{topics.news}?group={topics.group}&fetch_max_wait_ms=20",
            "pubsub": f"pubsub://{PROJECT}/{news.subscription}",
            "files": str(file),
        }
        files = "?format=jsonl.gz&partition_by=category&every=1s"
        parquet = "?format=parquet&partition_by=category,hour&every=1s"
        self.sinks = {
            "kafka": (f"{at}/{topics.out}", f"{at}/{topics.dead}"),
            "pubsub": tuple(f"pubsub://{PROJECT}/{name}" for name in (news.out, news.dead)),
            "jsonl": (f"{folder}/out{files}", f"{folder}/dead/?every=1s"),
            "parquet": (f"{folder}/out/{parquet}", f"{folder}/dead.parquet?every=1s"),
        }

    def args(self, source: str, sink: str, *more: str) -> list[str]:
        """The arguments of `newsbeam run` from one kind to another."""
        to, letters = self.sinks[sink]
        ends = ("--source", self.sources[source], "--sink", to, "--dead_letters", letters)
        return ["run", *ends, *MODEL, *more]

    def send(self, source: str, messages: list[Sent]) -> dict[str, Sent]:
        """Sends messages; returns each by its place."""
        if source == "kafka":
            return self.topics.produce(messages)
        if source == "pubsub":
            values = [m.value for m in messages]
            ids = self.news.server.publish(self.news.topic, values, lambda n: {"n": str(n)})
            places = [f"{self.news.subscription}:{i}" for i in ids]
            return dict(zip(places, messages, strict=True))
        path = Path(self.sources["files"])
        messages = [m for m in messages if m.value.strip() and len(m.value.splitlines()) == 1]
        path.write_bytes(b"".join(m.value + b"\n" for m in messages))
        return {f"{path}:{n}": m for n, m in enumerate(messages, 1)}

    def outcomes(self, sink: str) -> list[CameOut]:
        """All that has come out by now."""
        return [came_out(message) for message in self.written(sink)]

    def written(self, sink: str) -> Iterator[Message]:
        """The same, as records."""
        if sink == "kafka":
            for topic in (self.topics.out, self.topics.dead):
                for got in read_topic(self.topics.servers, topic):
                    yield Message(got.value, got.key, got.headers)
        elif sink == "pubsub":
            for topic in (self.news.out, self.news.dead):
                self._seen += self.news.server.read_all(topic)
            for m in self._seen:
                content = from_attributes(m.data, m.attributes, m.ordering_key)
                yield Message(content.value, content.key, content.headers)
        else:
            for name in ("out", "dead", "dead.parquet"):
                for path in files_of(self.folder / name):
                    for messages in read_files(str(path)):
                        yield from messages


def files_of(folder: Path) -> list[Path]:
    """The files of a folder that are there to be read."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


class CameOut(NamedTuple):
    """An outcome, and where its message stood: `topic-partition@offset`, or `subscription:id`, or …"""

    place: str
    outcome: Outcome


def came_out(message: Message) -> CameOut:
    """Reads what a sink holds."""
    outcome = outcome_of(message)
    source = dict(message.headers).get("newsbeam.source")
    if source is not None:
        return CameOut(source.decode(), outcome)
    of_item = isinstance(outcome, CategorizedItem)
    return CameOut(str(outcome.source if of_item else outcome.message.source), outcome)


def places(outcomes: Iterable[CameOut]) -> Counter[str]:
    """How often each message came out."""
    return Counter(place for place, _ in outcomes)


def all_out(ends: Ends, sink: str, sent: dict[str, Sent]) -> Callable[[], bool]:
    """Whether every message has come out."""
    return lambda: places(ends.outcomes(sink)).keys() >= sent.keys()


def assert_came_out(outcomes: list[CameOut], sent: dict[str, Sent], *, once: bool = True) -> None:
    """Every message is there, as the right kind; once, where nothing was killed."""
    found = places(outcomes)
    assert found.keys() == sent.keys()
    assert not once or found.total() == len(sent)
    for place, outcome in outcomes:
        message = sent[place]
        assert message.dead == isinstance(outcome, DeadLetter)
        if isinstance(outcome, DeadLetter):
            assert outcome.message.value == message.value
