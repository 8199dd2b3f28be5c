"""Pub/Sub to Pub/Sub as a pipeline, on Google's fake: nothing is lost, whatever happens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.runners.kinds import runner_of
from tests.integration.pubsub import News
from tests.servers.processes import wait_until
from tests.servers.pubsub import PubSubServer
from transforms.classify_news import ClassifyNews
from transforms.pubsub.read import close_readers
from transforms.reading import ReadUnbounded, Source
from transforms.records import (
    Message,
    categorized_from_json,
    dead_letter_from_headers,
)
from transforms.writing import LETTERS, WriteOutcomes

REPO = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_readers()


@pytest.fixture
def news(pubsub: PubSubServer, unique: Callable[[str], str]) -> News:
    return News(pubsub, unique("t"))


@pytest.fixture(params=["FnApiRunner", "PrismRunner"])
def runner(request: pytest.FixtureRequest) -> tuple[str, ...]:
    if request.param == "FnApiRunner":
        return ("--runner=FnApiRunner",)
    prism = request.getfixturevalue("prism")
    return ("--runner=PrismRunner", f"--prism_location={prism}")


def classify(news: News, source: Source, runner: Sequence[str], ordering: bool = False) -> None:
    """Runs news through to its topics, until the source ends."""
    options = PipelineOptions(["--streaming", *runner])
    server = runner_of(options).server(options)
    try:
        with beam.Pipeline(options=options) as p:
            _ = (
                (p | ReadUnbounded(source) | ClassifyNews()).outcomes
                | "Write items" >> WriteOutcomes(news.sink(news.out, ordering))
                | "Write dead letters" >> WriteOutcomes(news.sink(news.dead, ordering), LETTERS)
            )
    finally:
        if server is not None:
            server.stop()
    close_readers()


def test_all_of_it_comes_out_and_is_acknowledged(news: News, runner: tuple[str, ...]) -> None:
    sent = news.publish(700, {"category": "own"})
    bad = news.server.publish(news.topic, [b"nonsense"] * 7, lambda n: {"n": str(n)})
    classify(news, news.source().ending(1.0), runner)
    out = news.server.read_all(news.out)
    items = [categorized_from_json(message.data) for message in out]
    assert sorted(item.source.message_id for item in items) == sorted(sent)  # type: ignore
    for item, message in zip(items, out, strict=True):
        own = message.attributes.pop("newsbeam.header.0.category")
        assert own == "text:own"
        assert message.attributes == {
            "n": item.id,
            "id": item.id,
            "category": item.category,
            "score": f"{item.score:.4f}",
            "model": item.model,
            "event_time": item.event_time.isoformat(),
        }
    dead = news.server.read_all(news.dead)
    letters = [
        dead_letter_from_headers(
            Message(m.data, headers=tuple((n, v.encode()) for n, v in m.attributes.items()))
        )
        for m in dead
    ]
    assert {letter.stage for letter in letters} == {"ParseNews"}
    assert {letter.message.value for letter in letters} == {b"nonsense"}
    sources = {f"{news.subscription}:{message_id}" for message_id in bad}
    assert {m.attributes["newsbeam.source"] for m in dead} == sources
    assert news.left() == []


def test_subscribers_filter_by_category(news: News) -> None:
    server = news.server
    sports = server.create_subscription(
        f"{news.out}-sports", news.out, filter='attributes.category = "Sports"'
    ).rpartition("/")[2]
    titles = [b"The team won the cup final", b"Stocks fell as banks reported losses"] * 10
    server.publish(news.topic, [b'{"title":"%s"}' % title for title in titles])
    classify(news, news.source().ending(1.0), ["--runner=FnApiRunner"])
    everything = server.read_all(news.out)
    expected = sorted(m.message_id for m in everything if m.attributes["category"] == "Sports")
    assert 0 < len(expected) < len(everything)
    assert sorted(m.message_id for m in server.drain(sports)) == expected


class _FailOnce(beam.DoFn):
    def process(self, element: Message) -> None:
        if b'"7"' in (element.value or b""):
            raise OSError("the sink is gone")


def test_what_fails_is_given_back(news: News, runner: tuple[str, ...]) -> None:
    sent = news.publish(20)
    options = PipelineOptions(["--streaming", *runner])
    server = runner_of(options).server(options)
    try:
        with (
            pytest.raises(Exception, match=r"the sink is gone|FAILED"),
            beam.Pipeline(options=options) as p,
        ):
            _ = p | ReadUnbounded(news.source()) | beam.ParDo(_FailOnce())
    finally:
        if server is not None:
            server.stop()
        close_readers()
    left: list[str] = []
    wait_until(lambda: left.extend(news.left()) or len(left) == 20, "all to come again")
    assert sorted(left) == sorted(sent)


def test_keys_as_ordering_keys(pubsub: PubSubServer, unique: Callable[[str], str]) -> None:
    news = News(pubsub, unique("t"), enable_message_ordering=True)
    data = [b'{"id":"%d","title":"Stocks fell"}' % n for n in range(12)]
    pubsub.publish(news.topic, data, None, lambda n: "ab"[n // 6])
    ordered = pubsub.create_subscription(
        f"{news.out}-ordered", news.out, enable_message_ordering=True
    ).rpartition("/")[2]
    classify(news, news.source().ending(1.0), ["--runner=FnApiRunner"], ordering=True)
    out = pubsub.drain(ordered)
    for key, numbers in (("a", range(6)), ("b", range(6, 12))):
        assert [m.attributes["id"] for m in out if m.ordering_key == key] == [
            str(n) for n in numbers
        ]


# ---- as a process ----------------------------------------------------------------------------------


def start(news: News, log: Path) -> subprocess.Popen[bytes]:
    name = news.out.removesuffix("-out")
    command = [
        sys.executable, "-m", "tests.integration.pubsub_program",
        news.server.address, name, "--runner=FnApiRunner",
    ]  # fmt: skip
    with log.open("ab") as file:
        return subprocess.Popen(command, cwd=REPO, stdout=file, stderr=file)


@pytest.mark.long
def test_kill_9_in_mid_stream_loses_nothing(news: News, tmp_path: Path) -> None:
    sent = news.publish(3000)
    out: list[str] = []

    def more_than(count: int) -> bool:
        for message in news.server.read_all(news.out):
            item = categorized_from_json(message.data)
            out.append(item.source.message_id)  # type: ignore[union-attr]
        return len(set(out)) > count

    for _ in range(3):
        run = start(news, tmp_path / "log")
        before = len(set(out))
        try:
            wait_until(lambda before=before: more_than(before), "it to be at work")
        finally:
            run.send_signal(SIGKILL)
            run.wait()
    run = start(news, tmp_path / "log")
    try:
        wait_until(lambda: more_than(2999), "all to come out")
        run.send_signal(SIGTERM)
        assert run.wait() == 0, (tmp_path / "log").read_text()
    finally:
        if run.poll() is None:
            run.kill()
            run.wait()
    more_than(0)
    assert set(out) == set(sent)
    # At least once: what was published and not acknowledged when it was killed comes twice.
    assert len(out) < 2 * len(sent)
    assert news.left() == []
