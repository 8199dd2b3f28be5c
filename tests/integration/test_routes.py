"""Categories that go to places of their own: exactly once among topics of one cluster, over kill -9."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.integration.ends import MODEL, came_out, places
from tests.integration.harness import Sent, Topics, mixed, read_topic, running, succeeded
from tests.servers.apache_kafka import KafkaCluster
from transforms.records import CategorizedItem, DeadLetter, Message

COUNT = 2_000
#: Every category, and who takes it.
BESIDE = {"sports": ("Sports",), "trade": ("World", "Business")}
INSTEAD = {**BESIDE, "science": ("Sci/Tech",)}


class Routes:
    """Topics for some categories, on the cluster of a source.

    Args:
        topics: Source, sink and dead letters.
        routed: Names, and the categories that go there.
        create: Creates a topic.
        unique: Makes a name that no other test uses.
    """

    def __init__(
        self,
        topics: Topics,
        routed: Mapping[str, tuple[str, ...]],
        create: Callable[[str, int], object],
        unique: Callable[[str], str],
    ) -> None:
        self._topics = topics
        self.of = {unique(name): categories for name, categories in routed.items()}
        for name in self.of:
            create(name, 2)

    @property
    def beside(self) -> bool:
        """Whether a sink takes what no route does."""
        return sum(map(len, self.of.values())) < 4

    def args(self, *more: str) -> list[str]:
        """The arguments of `newsbeam run`."""
        at = f"kafka://{self._topics.servers}"
        run, source, uri, sink, to, *others = self._topics.args(*MODEL, *more)
        routes = [f"--route={','.join(c)}={at}/{name}" for name, c in self.of.items()]
        return [run, source, uri, *((sink, to) if self.beside else ()), *routes, *others]

    def read(self) -> dict[str, list[Message]]:
        """What each topic holds: of routes, sink and dead letters."""
        names = (*self.of, self._topics.out, self._topics.dead)
        return {
            name: [
                Message(got.value, got.key, got.headers)
                for got in read_topic(self._topics.servers, name)
            ]
            for name in names
        }

    def begun(self) -> bool:
        """Whether something has come out."""
        return bool(read_topic(self._topics.servers, next(iter(self.of))))

    def assert_each_once(self, sent: Mapping[str, Sent]) -> None:
        """Everything has come out once, where it belongs."""
        read = self.read()
        outcomes = [came_out(message) for messages in read.values() for message in messages]
        assert places(outcomes) == Counter(sent.keys())
        for name, messages in read.items():
            for place, outcome in map(came_out, messages):
                assert isinstance(outcome, DeadLetter) == sent[place].dead
                if isinstance(outcome, DeadLetter):
                    assert name == self._topics.dead
                else:
                    assert name == self._of(outcome)
        assert all(read[name] for name in self.of)

    def _of(self, item: CategorizedItem) -> str:
        for name, categories in self.of.items():
            if item.category in categories:
                return name
        return self._topics.out


@pytest.fixture
def routes(
    request: pytest.FixtureRequest,
    kafka: Topics,
    apache_kafka: KafkaCluster,
    unique: Callable[[str], str],
) -> Routes:
    return Routes(kafka, request.param, apache_kafka.create_topic, unique)


@pytest.mark.parametrize(
    "routes",
    [
        pytest.param(BESIDE, id="beside"),
        pytest.param(INSTEAD, id="instead", marks=pytest.mark.long),
    ],
    indirect=True,
)
def test_kill_9_loses_and_doubles_nothing(kafka: Topics, routes: Routes, tmp_path: Path) -> None:
    sent = kafka.produce(Sent(m.value, m.key) for m in mixed(COUNT))
    with running(routes.args(), tmp_path) as process:
        process.wait_for(routes.begun, "outcomes")
        process.signal(SIGKILL)
        process.wait()
    done = succeeded(*routes.args("--stop_at_end"))
    [started] = [line for line in done.stderr.splitlines() if "delivery exactly once" in line]
    for name, categories in routes.of.items():
        assert f"{', '.join(sorted(categories))}: kafka://{kafka.servers}/{name}" in started
    assert (f"/{kafka.out}," in started) == routes.beside
    routes.assert_each_once(sent)


@pytest.mark.long
@pytest.mark.parametrize("routes", [BESIDE], ids=["beside"], indirect=True)
def test_on_prism(kafka: Topics, routes: Routes, prism: Path) -> None:
    sent = kafka.produce(Sent(m.value, m.key) for m in mixed(200))
    on_prism = ("--runner=PrismRunner", f"--prism_location={prism}")
    succeeded(*routes.args("--stop_at_end", *on_prism))
    routes.assert_each_once(sent)
