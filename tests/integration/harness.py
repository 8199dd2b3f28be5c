"""What the integration tests share: messages with known fates, topics read back, `run` as a process."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM, Signals
from typing import IO, Any, NamedTuple

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from pipeline.demo.poison import POISON
from pipeline.demo.traffic import mix, sample_news
from tests.servers import starter
from tests.servers.processes import wait_until

DEAD_POISON = {p.value for p in POISON if p.expected == "dead_letter"}

#: Both deliveries, where one of them says most.
DELIVERIES = pytest.mark.parametrize(
    "delivery", ["exactly_once", pytest.param("at_least_once", marks=pytest.mark.long)]
)


class Sent(NamedTuple):
    """A message to produce: what comes of it must carry all of this but, maybe, the value."""

    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int | None = None

    @property
    def dead(self) -> bool:
        """Whether it has to be a dead letter."""
        return self.value in DEAD_POISON


class Got(NamedTuple):
    """A record of a topic."""

    place: str
    value: bytes | None
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp: int

    @property
    def source(self) -> str:
        """Where the message stood that this record came of: `topic-partition@offset`."""
        of_dead_letter = dict(self.headers).get("newsbeam.source")
        if of_dead_letter is not None:
            return of_dead_letter.decode()
        source = json.loads(self.value or b"")["source"]
        return f"{source['topic']}-{source['partition']}@{source['offset']}"


# ---- messages --------------------------------------------------------------------------------------


def mixed(total: int) -> list[Sent]:
    """Sample news with all kinds of poison among it, each message with headers and a time."""
    began = int(time.time() * 1000) - total
    return [
        Sent(
            m.value,
            m.key,
            (
                ("traceparent", f"00-{i:032x}-{i:016x}-01".encode()),
                ("hop", b"\x00\xff"),
                ("hop", b""),
            ),
            began + i,
        )
        for i, m in enumerate(mix(sample_news(), POISON, total))
    ]


def short(total: int, begin: int = 0) -> list[Sent]:
    """News of a few words, which the model is done with in a moment."""
    return [
        Sent(json.dumps({"id": f"n{i}", "title": "Stocks fell"}).encode(), f"n{i}".encode())
        for i in range(begin, begin + total)
    ]


# ---- topics ----------------------------------------------------------------------------------------


def produce(
    servers: str,
    topic: str,
    messages: Iterable[Sent],
    partition: int | None = None,
    **settings: Any,
) -> dict[str, Sent]:
    """Produces messages; returns each by its place."""
    sent: dict[str, Sent] = {}
    settings = {"bootstrap_servers": servers, "acks": "all", "linger_ms": 20, **settings}
    with closing(KafkaProducer(max_request_size=16 << 20, **settings)) as producer:
        waiting = [
            (m, producer.send(topic, m.value, m.key, list(m.headers), partition, m.timestamp))
            for m in messages
        ]
        producer.flush()
        for message, future in waiting:
            answer = future.get()
            sent[f"{answer.topic}-{answer.partition}@{answer.offset}"] = message
    return sent


def read_topic(servers: str, topic: str, **settings: Any) -> list[Got]:
    """All committed records of a topic, up to where it ends now."""
    settings = {
        "bootstrap_servers": servers,
        "group_id": None,
        "enable_auto_commit": False,
        "isolation_level": "read_committed",
        "auto_offset_reset": "earliest",
        "fetch_max_wait_ms": 20,
        **settings,
    }
    with closing(KafkaConsumer(**settings)) as consumer:
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        got: list[Got] = []

        def at_end() -> bool:
            polled = list(itertools.chain(*consumer.poll(timeout_ms=200).values()))
            got.extend(
                Got(
                    f"{r.topic}-{r.partition}@{r.offset}",
                    r.value,
                    r.key,
                    tuple(r.headers),
                    r.timestamp,
                )
                for r in polled
            )
            # Tansu, the embedded broker, names the start of the last batch as the end.
            return not polled and all(consumer.position(tp) >= end for tp, end in ends.items())

        wait_until(at_end, f"the end of {topic}", interval=0)
    return got


class Topics(NamedTuple):
    """Source, sink and dead letters of one test, on one cluster."""

    servers: str
    news: str
    out: str
    dead: str
    group: str

    def args(self, *more: str, source_query: str = "") -> list[str]:
        """The arguments of `newsbeam run` for them."""
        at = f"kafka://{self.servers}"
        source = f"{at}/{self.news}?group={self.group}&fetch_max_wait_ms=20{source_query}"
        ends = ["--source", source, "--sink", f"{at}/{self.out}"]
        return ["run", *ends, "--dead_letters", f"{at}/{self.dead}", *more]

    def produce(self, messages: Iterable[Sent], partition: int | None = None) -> dict[str, Sent]:
        """Produces to the source."""
        return produce(self.servers, self.news, messages, partition)

    def outcomes(self) -> tuple[list[Got], list[Got]]:
        """What the sink and the dead letters hold by now."""
        return read_topic(self.servers, self.out), read_topic(self.servers, self.dead)

    def count(self) -> int:
        """How many outcomes there are by now."""
        return sum(map(len, self.outcomes()))


def make_topics(
    create: Callable[[str, int], object],
    servers: str,
    unique: Callable[[str], str],
    partitions: int = 4,
) -> Topics:
    """Creates the three topics, of names that no other test uses."""
    topics = Topics(servers, *(unique(name) for name in ("news", "out", "dead", "group")))
    create(topics.news, partitions)
    create(topics.out, 2)
    create(topics.dead, 1)
    return topics


def assert_each_once(sent: Mapping[str, Sent], topics: Topics) -> None:
    """Every message is in exactly one of the two topics, once, and nothing else is in either."""
    categorized, dead = topics.outcomes()
    places = [got.source for got in (*categorized, *dead)]
    doubled = {place for place, n in Counter(places).items() if n > 1}
    assert (sent.keys() - set(places), doubled) == (set(), set()), "lost, doubled"
    assert set(places) == sent.keys()
    assert {got.source for got in dead} == {p for p, m in sent.items() if m.dead}
    for got in categorized:
        assert_carried_on(sent[got.source], got)
    for got in dead:
        message = sent[got.source]
        assert got.value == message.value
        assert got.key == message.key
        assert_has_reasons(message, got)


def assert_carried_on(message: Sent, got: Got) -> None:
    """A result has its message's key, headers and time, and its fields."""
    assert (got.key, got.headers) == (message.key, message.headers)
    assert message.timestamp in {None, got.timestamp}
    result = json.loads(got.value or b"")
    assert result["fields"] == json.loads(message.value)
    assert result["scores"][result["category"]] == max(result["scores"].values())


def assert_has_reasons(message: Sent, got: Got) -> None:
    """A dead letter has its message's headers and time, then the reasons."""
    own = got.headers[: len(message.headers)]
    assert own == message.headers
    assert message.timestamp in {None, got.timestamp}
    reasons = {name: value.decode() for name, value in got.headers[len(own) :]}
    assert all(name.startswith("newsbeam.") for name in reasons)
    assert reasons["newsbeam.stage"] == "ParseNews"
    assert reasons["newsbeam.attempt"] == "1"
    assert reasons["newsbeam.error_type"]
    assert reasons["newsbeam.error"]


# ---- the program -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """How a process ended, and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The only line that it said to the user, log lines aside."""
        lines = [s for s in self.stderr.splitlines() if not _LOG_LINE.match(s)]
        assert len(lines) == 1, self.stderr
        return lines[0]


_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR) ")
#: The line that says what came out in the end.
SUMMARY = re.compile(r"newsbeam: ([\d,]+) records? in \d+:\d\d:\d\d .*: ([\d,]+) categorized")


def _on_runner(args: Sequence[str]) -> Sequence[str]:
    """The same, on the runner that all tests are to be run on (`make test-prism`)."""
    runner = os.environ.get("NEWSBEAM_TEST_RUNNER")
    if not runner or args[0] != "run" or any(arg.startswith("--runner") for arg in args):
        return args
    return [*args, f"--runner={runner}"]


def finished(
    *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None, anew: bool = False
) -> Done:
    """Runs `newsbeam ARGS` to its end; `anew` as a shell does, imports and all."""
    env = {**os.environ, "COLUMNS": "100", **(env or {})}
    done = starter.run(_on_runner(args), stdin=stdin, env=env, anew=anew)
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def succeeded(*args: str, **keywords: Any) -> Done:
    """Runs `newsbeam ARGS` to its end, which has to be a good one."""
    done = finished(*args, **keywords)
    assert done.code == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done


def refused(*args: str, **keywords: Any) -> str:
    """Runs `newsbeam ARGS`, which have to be refused in one line; returns that."""
    done = finished(*args, **keywords)
    assert (done.code, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
    assert done.stderr.startswith("newsbeam: ")
    return done.stderr


class Process:
    """A `newsbeam run` that goes on, and its log."""

    def __init__(self, process: starter.Program, log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        return self._log.read_text()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def stdin(self) -> IO[bytes]:
        """Its stdin."""
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """Its stdout."""
        assert self._process.stdout is not None
        return self._process.stdout

    def wait_for(self, condition: Callable[[], Any], what: str, **keywords: Any) -> None:
        """Waits for something that this process has to bring about."""

        def met() -> bool:
            if condition():
                return True
            assert self.running, f"ended with {self._process.returncode}:\n{self.log}"
            return False

        try:
            wait_until(met, what, **keywords)
        except TimeoutError as e:
            e.add_note(self.log)
            raise

    def signal(self, number: Signals) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    def signal_group(self, number: Signals) -> None:
        """Sends a signal to it and all that it started, as a terminal's Ctrl-C is sent."""
        os.killpg(self._process.pid, number)

    def wait(self) -> Done:
        """Waits until it ends."""
        code = self._process.wait()
        return Done(code, "", self.log)

    def drain(self, how: Signals = SIGTERM) -> Done:
        """Tells it to finish; it has to end well, with one line that says what came out."""
        self.signal(how)
        done = self.wait()
        assert done.code == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert len(SUMMARY.findall(done.stderr)) == 1
        return done


@contextlib.contextmanager
def running(
    args: Sequence[str], folder: Path, *, piped: bool = False, anew: bool = False
) -> Iterator[Process]:
    """A `newsbeam ARGS` in the background, killed at the end with all that it started.

    Args:
        args: The arguments.
        folder: Where its log goes.
        piped: Connect stdin and stdout to pipes.
        anew: Start it as a shell does, imports and all.
    """
    start = starter.start_anew if anew else starter.start
    log = folder / f"newsbeam-{len(list(folder.glob('newsbeam-*.log')))}.log"
    with log.open("wb") as stderr:
        ends = subprocess.PIPE if piped else subprocess.DEVNULL
        process = start(_on_runner(args), stdin=ends, stdout=ends, stderr=stderr)
    try:
        yield Process(process, log)
    finally:
        starter.kill_session(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
