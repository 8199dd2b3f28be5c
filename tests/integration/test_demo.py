"""`newsbeam demo`: ends by itself, sees what is lost or doubled, leaves nothing behind."""

from __future__ import annotations

import contextlib
import io
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from rich.console import Console

from pipeline.demo.broker import EmbeddedBroker
from pipeline.demo.ledger import Totals
from pipeline.demo.poison import POISON
from pipeline.demo.session import CATEGORIZED, NEWS, TOPICS, DemoError, Pipeline, Session
from pipeline.demo.show import Show, ok
from pipeline.demo.traffic import mix, sample_news
from tests.servers import starter
from transforms.records import CategorizedItem, KafkaPosition, categorized_to_json, now


def demo(*args: str, anew: bool = False) -> tuple[int, str, str]:
    """Runs `newsbeam demo ARGS`; the exit code, stdout and stderr."""
    done = starter.run(["demo", *args], anew=anew)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def figures(output: str) -> dict[str, int]:
    """The counts of the summary."""
    names = ("produced", "categorized", "dead letters", "lost", "doubled")
    return {n: int(m[1]) for n in names if (m := re.search(rf"^{n} +(\d+)", output, re.MULTILINE))}


def assert_all_came_once(output: str, produced: int) -> None:
    found = figures(output)
    assert (found["produced"], found["lost"], found["doubled"]) == (produced, 0, 0)
    bad = [m.value for m in mix(sample_news(), POISON, produced)]
    expected = sum(p.expected == "dead_letter" and p.value in bad for p in POISON)
    assert found["dead letters"] == expected
    assert found["categorized"] == produced - expected


def test_it_shows_categorized_news_and_ends_by_itself() -> None:
    code, stdout, stderr = demo("--seconds", "6", "--rate", "50", anew=True)
    assert (code, stderr) == (0, "")
    assert_all_came_once(stdout, 300)
    for category in ("World", "Sports", "Business", "Sci/Tech"):
        assert re.search(rf"^{category} +[01]\.\d\d  \w", stdout, re.MULTILINE)
    assert re.search(r"^dead letter at ParseNews: ", stdout, re.MULTILINE)
    assert re.search(r"^latency +[\d,]+ ms +p50 .* p99 [\d,]+ ms *$", stdout, re.MULTILINE)
    assert "\x1b" not in stdout


def test_on_prism(prism: Path) -> None:
    on_prism = ("--runner", "PrismRunner", "--prism_location", str(prism))
    code, stdout, stderr = demo("--seconds", "3", "--rate", "15", *on_prism)
    assert code == 0, stderr
    assert_all_came_once(stdout, 45)
    # What Prism says of itself is not for newcomers.
    assert "JobManagement" not in stdout + stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_drains_it(how: signal.Signals, tmp_path: Path) -> None:
    said = tmp_path / "stderr"
    with said.open("wb") as stderr:
        process = starter.start(
            ["demo", "--seconds", "3600", "--rate", "20"], stdout=PIPE, stderr=stderr
        )
    assert process.stdout is not None
    seen = ""
    try:
        while seen.count("\nWorld") < 3:
            line = process.stdout.readline()
            assert line, said.read_text()
            seen += line.decode()
        process.send_signal(how)
        seen += process.stdout.read().decode()
        assert process.wait() == 0, said.read_text()
    finally:
        starter.kill_session(process)
        process.stdout.close()
    found = figures(seen)
    assert 0 < found["produced"] == found["categorized"] + found["dead letters"] < 3600 * 20
    assert (found["lost"], found["doubled"]) == (0, 0)
    port = re.search(r"kafka://127\.0\.0\.1:(\d+)/", seen)
    assert port is not None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(port[1]))) != 0, "the broker is still there"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--model", "/nowhere"), "/nowhere"),
        (("--rate", "0"), "--rate"),
        (("--rnner", "x"), "--rnner"),
    ],
)
def test_what_can_not_work_is_one_line(args: tuple[str, ...], message: str) -> None:
    code, _, stderr = demo(*args)
    assert code == 2
    (line,) = stderr.splitlines()
    assert message in line


class Copier:
    """A pipeline of our own making, so that it can misbehave: news in, categorized items out.

    Args:
        copies: How many outputs it writes for the news at an offset.
    """

    def __init__(self, servers: str, copies: Callable[[int], int]) -> None:
        self._servers = servers
        self._copies = copies
        self._drain = threading.Event()

    def execute(self) -> None:
        with (
            contextlib.closing(self._consumer()) as consumer,
            contextlib.closing(KafkaProducer(bootstrap_servers=self._servers)) as producer,
        ):
            consumer.assign([TopicPartition(NEWS, p) for p in range(TOPICS[NEWS])])
            while not self._drain.is_set():
                for records in consumer.poll(50).values():
                    for r in records:
                        item = self._item(KafkaPosition(r.topic, r.partition, r.offset))
                        for _ in range(self._copies(r.offset)):
                            producer.send(CATEGORIZED, categorized_to_json(item))
                producer.flush()

    def _consumer(self) -> KafkaConsumer:
        return KafkaConsumer(bootstrap_servers=self._servers, auto_offset_reset="earliest")

    @staticmethod
    def _item(place: KafkaPosition) -> CategorizedItem:
        return CategorizedItem("1", "World", 1.0, {}, (), 1, False, "m@1", now(), now(), place, {})

    def drain(self) -> None:
        self._drain.set()


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as started:
        started.create_topics(TOPICS)
        yield started


def totals_of(
    broker: EmbeddedBroker, copies: Callable[[int], int], patience: float = 600
) -> Totals:
    copier = Copier(broker.bootstrap_servers, copies)
    with Show(Console(file=io.StringIO()), "test") as show:
        return Session(
            broker,
            mix(sample_news(), (), 60),
            1000,
            Pipeline(copier.execute, copier.drain),
            show,
            patience=patience,
        ).run()


def test_a_pipeline_that_keeps_its_promise_balances(broker: EmbeddedBroker) -> None:
    totals = totals_of(broker, lambda offset: 1)
    assert ok(totals)
    assert (totals.produced, totals.categorized, len(totals.latencies)) == (60, 60, 59)


def test_a_doubled_record_is_seen(broker: EmbeddedBroker) -> None:
    totals = totals_of(broker, lambda offset: 2 if offset == 3 else 1)
    assert not ok(totals)
    assert totals.doubled > 0
    assert totals.waiting == 0


def test_a_lost_record_is_seen(broker: EmbeddedBroker) -> None:
    totals = totals_of(broker, lambda offset: 0 if offset == 3 else 1, patience=2)
    assert not ok(totals)
    assert totals.waiting > 0
    assert totals.doubled == 0


def test_a_pipeline_that_fails_is_said_so(broker: EmbeddedBroker) -> None:
    def broken(offset: int) -> int:
        raise ValueError("out of\ncheese")

    with pytest.raises(DemoError, match=r"^the pipeline failed: out of cheese$"):
        totals_of(broker, broken)
