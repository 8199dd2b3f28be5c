"""Windows of a subscription, which has no order: a backlog of ten hours, and nothing comes too late."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.pubsub import News
from tests.integration.windows import closed, counting, in_windows, ten_hours
from tests.servers.processes import wait_until
from tests.servers.pubsub import PubSubServer
from transforms.pubsub.read import close_readers
from transforms.tally import TALLY


@pytest.fixture
def runner(prism: Path) -> tuple[str, ...]:
    return ("--runner=PrismRunner", f"--prism_location={prism}")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_readers()


@pytest.fixture
def news(pubsub: PubSubServer, unique: Callable[[str], str]) -> News:
    return News(pubsub, unique("t"))


def publish(news: News, times: list[float]) -> list[float]:
    news.server.publish(
        news.topic, [b"x"] * len(times), lambda n: {"at": str(int(times[n] * 1000))}
    )
    return times


def test_a_backlog_of_ten_hours(news: News, runner: tuple[str, ...]) -> None:
    times = publish(news, ten_hours(5_000))
    # All of it is read within a sample; the fake gives it in no order at all.
    source = news.source(time_attribute="at", sample=15.0, max_messages=500)
    with counting(source, runner) as windows:
        # Nothing more comes, and still each window fires: it moves on.
        windows.wait_for(closed(in_windows(times)))
        # What comes now is of now.
        times += publish(news, [time.time()])
        wait_until(lambda: TALLY.snapshot().read == 5_001, "the last one")
    assert windows.fired() == in_windows(times)


def test_by_the_time_of_publication(news: News, runner: tuple[str, ...]) -> None:
    news.publish(200)
    source = news.source(sample=3.0)
    with counting(source, runner, size=1.0) as windows:
        wait_until(lambda: windows.fired().total() == 200, "its windows to fire")
        news.publish(50)
        wait_until(lambda: windows.fired().total() == 250, "its windows to fire")


def test_on_fn_api_runner_all_is_counted_at_the_end(news: News) -> None:
    times = publish(news, ten_hours(2_000))
    source = news.source(time_attribute="at").ending(1.0)
    with counting(source, ["--runner=FnApiRunner"]) as windows:
        windows.wait_for(in_windows(times))
    assert windows.fired() == in_windows(times)
