"""`newsbeam replay` from and to Pub/Sub, on Google's fake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.integration.harness import Done, Topics, finished, refused, running, succeeded
from tests.integration.test_replay import as_they_were, news, replayed
from tests.servers.processes import wait_until
from tests.servers.pubsub import PROJECT, Published, PubSubServer
from transforms.pubsub.client import PubSubSettings
from transforms.pubsub.encode import PubSubTopic, encode
from transforms.pubsub.publish import publish
from transforms.records import DeadLetter, KafkaPosition, Message, dead_letter


class Ends:
    """A subscription of dead letters, and a topic of news."""

    def __init__(self, server: PubSubServer, unique: Callable[[str], str]) -> None:
        self.server = server
        self.dead, self.news = unique("dead"), unique("news")
        for topic in (self.dead, self.news):
            server.create_topic(topic)
        server.create_subscription(f"{self.dead}-sub", self.dead)

    def put(self, letters: Iterable[DeadLetter]) -> None:
        """Publishes dead letters as newsbeam does."""
        topic = PubSubTopic(PubSubSettings(self.server.address), PROJECT, self.dead)
        publish(topic, [encode(letter, topic) for letter in letters])  # type: ignore[misc]

    @property
    def source(self) -> str:
        """The dead letters."""
        return f"pubsub://{PROJECT}/{self.dead}-sub"

    @property
    def args(self) -> tuple[str, str, str]:
        """The arguments of a replay from one to the other."""
        return "replay", self.source, f"pubsub://{PROJECT}/{self.news}"

    def left(self) -> list[Published]:
        """What is in the subscription still, which takes it."""
        return self.server.drain(f"{self.dead}-sub")


@pytest.fixture
def ends(
    pubsub: PubSubServer, unique: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Ends:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.address)
    return Ends(pubsub, unique)


def letters(total: int, stage: str = "ParseNews") -> list[DeadLetter]:
    """Dead letters of messages from Kafka."""
    return [
        dead_letter(
            Message(m.value, m.key, m.headers, m.timestamp, KafkaPosition("news", 0, i)),
            stage,
            ValueError("not valid JSON"),
        )
        for i, m in enumerate(news(total))
    ]


@pytest.mark.long
def test_to_a_topic_of_kafka_as_they_were(ends: Ends, kafka: Topics) -> None:
    ends.put(letters(300))
    to = f"kafka://{kafka.servers}/{kafka.news}"
    dry = succeeded("replay", ends.source, to, "--dry_run")
    assert "would replay 300 of 300 dead letters" in dry.stderr
    done = succeeded("replay", ends.source, to)
    assert "at least once" in done.stderr
    assert "replayed 300 of 300 dead letters" in done.stderr
    # Attributes have no order: headers of one name keep theirs.
    got = [
        g._replace(headers=(*g.headers[1:-1], g.headers[0], g.headers[-1])) for g in replayed(kafka)
    ]
    assert as_they_were(got) == Counter(news(300))
    assert ends.left() == []


def test_what_is_left_out_stays(ends: Ends) -> None:
    ends.put([*letters(20), *letters(5, "WriteToKafka")])
    done: Done = succeeded(*ends.args, "--stage", "ParseNews", "--limit", "15")
    assert "replayed 15 of" in done.stderr
    done = succeeded(*ends.args, "--stage", "ParseNews")
    assert "replayed 5 of 10 dead letters" in done.stderr
    assert f"these stay in subscription {ends.dead}-sub" in done.stderr
    got = ends.server.read_all(ends.news)
    assert Counter(g.attributes["n"] for g in got) == Counter(str(n) for n in range(20))
    assert {g.attributes["newsbeam.attempt"] for g in got} == {"1"}
    assert all("newsbeam.stage" not in g.attributes for g in got)
    assert len(ends.left()) == 5


@pytest.mark.long
def test_a_kill_loses_nothing(ends: Ends, tmp_path: Path) -> None:
    ends.put(letters(10_000))
    got: list[Published] = []
    with running(ends.args, tmp_path) as process:

        def some_came() -> bool:
            # Not all there are: while these are taken, others come.
            got.extend(ends.server.take(f"all-of-{ends.news}"))
            return bool(got)

        process.wait_for(some_came, "first replayed messages", interval=0)
        process.signal(SIGKILL)
        process.wait()
    got.extend(ends.server.read_all(ends.news))
    assert len(got) < 10_000

    def all_came() -> bool:
        # What it held when it was killed comes again when its lease has ended.
        succeeded(*ends.args)
        got.extend(ends.server.read_all(ends.news))
        return {g.attributes["n"] for g in got} == {str(n) for n in range(10_000)}

    wait_until(all_came, "all that was held")


def test_one_line_says_what_is_wrong(ends: Ends) -> None:
    assert "what was replayed is gone from" in refused(*ends.args, "--from_start")
    why = finished("replay", ends.source, f"pubsub://{PROJECT}/{ends.dead}")
    assert why.code == 2
    assert "FROM is a subscription of TO" in why.error
    assert "there is no subscription nope" in refused(
        "replay", f"pubsub://{PROJECT}/nope", ends.args[2]
    )
    for command in ("dead-letters", "consume"):
        topic = f"pubsub://{PROJECT}/{ends.dead}"
        assert "there is no subscription nope" in refused(command, f"pubsub://{PROJECT}/nope")
        assert "and what is read is a subscription" in refused(command, topic)
