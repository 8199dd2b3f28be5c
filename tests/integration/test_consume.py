"""`newsbeam consume` on topics, as a command and as its users run it."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, CompletedProcess
from typing import Any

import pytest
from kafka import KafkaProducer

from pipeline.demo.broker import EmbeddedBroker
from pipeline.ends.kafka.peek import read_topics
from pipeline.outcomes import outcome_of
from tests.servers import starter
from tests.servers.processes import free_port
from transforms.errors import ConfigurationError
from transforms.kafka.settings import KafkaSettings
from transforms.records import (
    CategorizedItem,
    DeadLetter,
    KafkaPosition,
    Message,
    categorized_to_json,
    dead_letter,
    dead_letter_headers,
    now,
)


def item(number: int, category: str = "Sports") -> bytes:
    """The JSON of a categorized item."""
    return categorized_to_json(
        CategorizedItem(
            id=f"n{number}",
            category=category,
            score=0.9,
            scores={category: 0.9},
            labels=(category,),
            tokens=9,
            truncated=False,
            model="m@1",
            event_time=now(),
            processed_time=now(),
            source=KafkaPosition("news", 0, number),
            fields={"title": f"Match {number}"},
        )
    )


@pytest.fixture
def broker(embedded_broker: EmbeddedBroker) -> EmbeddedBroker:
    return embedded_broker


@pytest.fixture
def producer(broker: EmbeddedBroker) -> Iterator[KafkaProducer]:
    made = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, linger_ms=50)
    yield made
    made.close()


def consumed(*args: str) -> CompletedProcess[bytes]:
    return starter.run(["consume", *args])


def test_reads_all_that_is_there_and_ends(
    broker: EmbeddedBroker, producer: KafkaProducer, tmp_path: Path
) -> None:
    broker.create_topics({"all-1": 3, "all-2": 1})
    values = [item(n) for n in range(200)]
    for n, value in enumerate(values):
        producer.send("all-1" if n % 2 else "all-2", value)
    producer.flush()
    # What `run` takes, it takes.
    (config := tmp_path / "client.properties").write_text("client.id=reader\n")
    uri = f"kafka://{broker.bootstrap_servers}/all-1,all-2?group=ignored&config={config}"
    done = consumed(uri, "--format", "json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(done.stdout.splitlines()) == sorted(values)


def test_category_and_limit(broker: EmbeddedBroker, producer: KafkaProducer) -> None:
    broker.create_topics({"some": 1})
    for n in range(20):
        producer.send("some", item(n, "World" if n % 2 else "Sports"))
    producer.flush()
    uri = f"kafka://{broker.bootstrap_servers}/some"
    done = consumed(uri, "--category", "world", "--limit", "3", "--format", "json")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["n1", "n3", "n5"]


def test_dead_letters_and_strangers(broker: EmbeddedBroker, producer: KafkaProducer) -> None:
    broker.create_topics({"dead": 1})
    letter = dead_letter(Message(b"\xff{"), "ParseNews", ValueError("not UTF-8"))
    producer.send("dead", b"\xff{", headers=list(dead_letter_headers(letter)))
    producer.send("dead", b"who is this")
    producer.send("dead", value=None, key=b"gone")
    producer.flush()
    uri = f"kafka://{broker.bootstrap_servers}/dead"
    table = consumed(uri)
    heading, row = table.stdout.decode().splitlines()
    assert heading.split() == ["time", "stage", "error", "value"]
    assert "ParseNews" in row
    assert "ValueError: not UTF-8" in row
    first, second = table.stderr.decode().splitlines()
    assert first.startswith("newsbeam: dead-0@1 is neither")
    assert second.startswith("newsbeam: dead-0@2 is neither")
    assert "tombstone" in second
    as_json = json.loads(consumed(uri, "--format", "json").stdout)
    assert (as_json["value"], as_json["stage"]) == ("/3s=", "ParseNews")


def test_an_empty_topic_is_nothing(broker: EmbeddedBroker) -> None:
    broker.create_topics({"empty": 2})
    done = consumed(f"kafka://{broker.bootstrap_servers}/empty")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_missing_topic_is_one_line_that_names_those_there(broker: EmbeddedBroker) -> None:
    broker.create_topics({"news-somewhere": 1})
    done = consumed(f"kafka://{broker.bootstrap_servers}/news-nowhere")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert "topic 'news-nowhere' does not exist" in line
    assert "news-somewhere" in line


def test_no_broker_is_one_line() -> None:
    # How long it tries is a setting like any other.
    done = consumed(f"kafka://127.0.0.1:{free_port()}/t?bootstrap_timeout_ms=500")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert "can't reach Kafka at 127.0.0.1:" in line


@contextlib.contextmanager
def consuming(*args: str, stderr: Path) -> Iterator[starter.Program]:
    """A reader that goes on, with its stdout in a pipe, killed at the end in any case."""
    with stderr.open("wb") as file:
        process = starter.start(["consume", *args, "--format", "json"], stdout=PIPE, stderr=file)
    try:
        yield process
    finally:
        starter.kill_session(process)
        assert process.stdout is not None
        process.stdout.close()


def test_a_reader_that_goes_away_is_no_error(
    broker: EmbeddedBroker, producer: KafkaProducer, tmp_path: Path
) -> None:
    broker.create_topics({"long": 1})
    for n in range(5000):
        producer.send("long", item(n))
    producer.flush()
    said = tmp_path / "stderr"
    with consuming(f"kafka://{broker.bootstrap_servers}/long", stderr=said) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert (process.wait(), said.read_text()) == (0, "")


def test_follow_waits_for_more_until_interrupted(
    broker: EmbeddedBroker, producer: KafkaProducer, tmp_path: Path
) -> None:
    broker.create_topics({"more": 2})
    producer.send("more", item(0)).get()
    uri = f"kafka://{broker.bootstrap_servers}/more"
    with consuming(uri, "--follow", stderr=tmp_path / "stderr") as process:
        assert process.stdout is not None
        for n in range(3):
            assert json.loads(process.stdout.readline())["id"] == f"n{n}"
            producer.send("more", item(n + 1)).get()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait() == 0
        # The last one was on its way.
        assert [json.loads(line)["id"] for line in rest.splitlines()] in ([], ["n3"])


def test_follow_from_latest_leaves_out_what_was_there(
    broker: EmbeddedBroker, producer: KafkaProducer, tmp_path: Path
) -> None:
    broker.create_topics({"late": 1})
    producer.send("late", item(0)).get()
    stop = threading.Event()

    def produce() -> None:
        """Keeps producing: nobody can tell from outside when the reader stands at the end."""
        while not stop.wait(0.05):
            producer.send("late", item(1)).get()

    thread = threading.Thread(target=produce)
    uri = f"kafka://{broker.bootstrap_servers}/late"
    with consuming(uri, "--follow", "--from", "latest", stderr=tmp_path / "stderr") as process:
        assert process.stdout is not None
        # One record a batch: Tansu names the start of the last batch as the end of the topic.
        thread.start()
        try:
            assert json.loads(process.stdout.readline())["id"] == "n1"
        finally:
            stop.set()
            thread.join()


def test_records_of_aborted_and_open_transactions_are_left_out(
    apache_kafka: Any, unique: Callable[[str], str]
) -> None:
    topic = unique("transactions")
    apache_kafka.create_topic(topic, 1)
    producer = KafkaProducer(
        bootstrap_servers=apache_kafka.bootstrap_servers, transactional_id=unique("consume")
    )
    producer.init_transactions()
    for n, ended in enumerate((True, False, True, None)):
        producer.begin_transaction()
        producer.send(topic, item(n)).get()
        if ended is not None:
            (producer.commit_transaction if ended else producer.abort_transaction)()

    def ids(**query: str) -> list[str]:
        settings = KafkaSettings.of(apache_kafka.bootstrap_servers, environment={})
        batches = read_topics("", settings, [topic], **query)
        found = [outcome_of(m) for batch in batches for m in batch]
        return [o.id for o in found if not isinstance(o, DeadLetter)]

    committed, all_of_them = ids(), ids(isolation_level="read_uncommitted")
    producer.abort_transaction()
    producer.close()
    assert committed == ["n0", "n2"]
    assert all_of_them == ["n0", "n1", "n2", "n3"]


def test_a_topic_that_is_missing_is_not_created(apache_kafka: Any) -> None:
    settings = KafkaSettings.of(apache_kafka.bootstrap_servers, environment={})
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="does not exist"):
            list(read_topics("", settings, ["newsbeam-nowhere"]))
