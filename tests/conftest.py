"""What all tests share: a clean process before each, an embedded broker, and the AG News files."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from pipeline.demo.broker import EmbeddedBroker
from transforms.reading import undrain
from transforms.tally import TALLY

# No deadline: a slow machine is no error.
hypothesis.settings.register_profile(
    "newsbeam", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("newsbeam")

# A shell that starts us in the background has us ignore Ctrl-C, and our child processes with us;
# those are sent SIGINT by tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Python buffers where nobody says otherwise: what is wrong with that has to show here, too.
os.environ.pop("PYTHONUNBUFFERED", None)

pytest_plugins = ["tests.servers.fixtures"]

#: The official AG News files, beside the repo; they are no part of it.
AG_NEWS = Path(__file__).parents[1].parent / "shared" / "data" / "ag_news"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is about Pub/Sub: what needs its fake, and what lies where it is tested."""
    for item in items:
        of_it = any("pubsub" in name for name in item.path.relative_to(item.config.rootpath).parts)
        if of_it or "pubsub" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.pubsub)


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    """Let sources read, and counts start from zero, whatever the test before did."""
    undrain()
    TALLY.reset()
    yield
    undrain()


@pytest.fixture(scope="session")
def ag_news() -> Path:
    """The folder of AG News' train.csv and test.csv."""
    if not (AG_NEWS / "test.csv").is_file():
        pytest.skip("the AG News files are not beside the repo (../shared/data/ag_news)")
    return AG_NEWS


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """One embedded broker for the session."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def topics(embedded_broker: EmbeddedBroker, unique: Callable[[str], str]) -> Callable[..., str]:
    """Make topics that no other test uses: `topics("news", partitions=4)` gives the name."""

    def create(name: str = "topic", partitions: int = 1) -> str:
        topic = unique(name)
        embedded_broker.create_topics({topic: partitions})
        return topic

    return create
