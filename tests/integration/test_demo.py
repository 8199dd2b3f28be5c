"""`newsbeam demo`: ends by itself, on each of its brokers, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path
from subprocess import PIPE

import psutil
import pytest

from pipeline.demo.poison import POISON
from pipeline.demo.traffic import mix, sample_news
from tests.servers import starter
from tests.servers.processes import wait_until

#: The poison that a broker can't hold, by name.
LEFT_OUT: dict[str, set[str]] = {"kafka": set(), "pubsub": {"empty_value"}}


@pytest.fixture(params=["kafka", "pubsub"])
def broker(request: pytest.FixtureRequest) -> str:
    """What news goes through."""
    if request.param == "pubsub":
        request.getfixturevalue("pubsub")  # skips where it can't be built
    return str(request.param)


def demo(*args: str, anew: bool = False, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Runs `newsbeam demo ARGS`; the exit code, stdout and stderr."""
    done = starter.run(["demo", *args], anew=anew, env=None if env is None else os.environ | env)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def figures(output: str) -> dict[str, int]:
    """The counts of the summary."""
    names = ("produced", "categorized", "dead letters", "lost", "doubled")
    return {n: int(m[1]) for n in names if (m := re.search(rf"^{n} +(\d+)", output, re.MULTILINE))}


def assert_all_came_once(output: str, produced: int, broker: str) -> None:
    said = set(re.findall(r"^left out of the poison: (\w+)\. ", output, re.MULTILINE))
    assert said == LEFT_OUT[broker]
    poison = [p for p in POISON if p.name not in said]
    found = figures(output)
    assert (found["produced"], found["lost"], found["doubled"]) == (produced, 0, 0)
    bad = [m.value for m in mix(sample_news(), poison, produced)]
    expected = sum(p.expected == "dead_letter" and p.value in bad for p in poison)
    assert found["dead letters"] == expected
    assert found["categorized"] == produced - expected


def assert_nobody_listens(output: str) -> None:
    address = re.search(r"127\.0\.0\.1:(\d+)", output)
    assert address is not None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(address[1]))) != 0, "the broker is still there"


def test_it_shows_categorized_news_and_ends_by_itself(broker: str) -> None:
    # What others take for Pub/Sub, and the proxies that they go through, are none of its business.
    others = {"PUBSUB_EMULATOR_HOST": "127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}
    args = ("--with", broker, "--seconds", "6", "--rate", "50")
    code, stdout, stderr = demo(*args, anew=True, env=others)
    assert (code, stderr) == (0, "")
    assert_all_came_once(stdout, 300, broker)
    for category in ("World", "Sports", "Business", "Sci/Tech"):
        assert re.search(rf"^{category} +[01]\.\d\d  \w", stdout, re.MULTILINE)
    assert re.search(r"^dead letter at ParseNews: ", stdout, re.MULTILINE)
    assert re.search(r"^latency +[\d,]+ ms +p50 .* p99 [\d,]+ ms *$", stdout, re.MULTILINE)
    assert "\x1b" not in stdout
    assert_nobody_listens(stdout)


def test_on_prism(broker: str, prism: Path) -> None:
    on_prism = ("--runner", "PrismRunner", "--prism_location", str(prism))
    code, stdout, stderr = demo("--with", broker, "--seconds", "3", "--rate", "15", *on_prism)
    assert code == 0, stderr
    assert_all_came_once(stdout, 45, broker)
    # What Prism says of itself is not for newcomers.
    assert "JobManagement" not in stdout + stderr


class Running:
    """A demo that goes on for an hour.

    Args:
        broker: What news goes through.
        folder: Where its stderr is kept.
    """

    def __init__(self, broker: str, folder: Path) -> None:
        self.said = folder / "stderr"
        args = ["demo", "--with", broker, "--seconds", "3600", "--rate", "20"]
        with self.said.open("wb") as stderr:
            self.process = starter.start(args, stdout=PIPE, stderr=stderr)
        self.seen = ""

    def until(self, pattern: str) -> re.Match[str]:
        """Waits until it has printed that."""
        assert self.process.stdout is not None
        while (found := re.search(pattern, self.seen, re.MULTILINE | re.DOTALL)) is None:
            line = self.process.stdout.readline()
            assert line, self.said.read_text()
            self.seen += line.decode()
        return found

    def end(self) -> int:
        """Waits for its end; gives its exit code."""
        assert self.process.stdout is not None
        self.seen += self.process.stdout.read().decode()
        return self.process.wait()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        starter.kill_session(self.process)
        assert self.process.stdout is not None
        self.process.stdout.close()


THREE_OF_THE_WORLD = r"(?:^World.*?){3}"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_drains_it(broker: str, how: signal.Signals, tmp_path: Path) -> None:
    with Running(broker, tmp_path) as run:
        run.until(THREE_OF_THE_WORLD)
        run.process.send_signal(how)
        assert run.end() == 0, run.said.read_text()
        assert run.said.read_text() == ""
    found = figures(run.seen)
    assert 0 < found["produced"] == found["categorized"] + found["dead letters"] < 3600 * 20
    assert (found["lost"], found["doubled"]) == (0, 0)
    assert_nobody_listens(run.seen)


def test_pubsub_that_dies_is_one_line(pubsub: object, tmp_path: Path) -> None:
    with Running("pubsub", tmp_path) as run:
        run.until(THREE_OF_THE_WORLD)
        [fake] = psutil.Process(run.process.pid).children()
        fake.kill()
        assert run.end() == 1
    [line] = run.said.read_text().splitlines()
    assert re.match(r"newsbeam: (producing|reading what came out) failed: \S", line)


def test_categorized_news_can_be_read_along(broker: str, tmp_path: Path) -> None:
    with Running(broker, tmp_path) as run:
        along = run.until(r"^to read along: (?:(\w+)=(\S+) )?newsbeam (consume [^\n]+)\n")
        run.until(THREE_OF_THE_WORLD)
        variables = os.environ | ({along[1]: along[2]} if along[1] else {})
        args = [*along[3].split(), "--limit", "5", "--category", "World"]
        done = starter.run(args, env=variables)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.count(b"World") == 5
        # It took nothing away.
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 0, run.said.read_text()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_building(how: signal.Signals, tmp_path: Path) -> None:
    """A `go` of ours, that takes its time and has a child of its own, as the real one."""
    go, pids = tmp_path / "bin" / "go", tmp_path / "pids"
    go.parent.mkdir()
    go.write_text(f"#!/bin/sh\nsleep 3600 & echo $$ $! >{pids}.new; mv {pids}.new {pids}; wait\n")
    go.chmod(0o755)
    cache = tmp_path / "cache"
    variables = {"PATH": f"{go.parent}:{os.environ['PATH']}", "NEWSBEAM_CACHE": str(cache)}
    process = starter.start(
        ["demo", "--with", "pubsub"], env=os.environ | variables, stdout=PIPE, stderr=PIPE
    )
    try:
        wait_until(pids.exists, "building to begin")
        process.send_signal(how)
        assert process.wait() == 130
        assert process.stdout is not None
        assert process.stdout.read().decode().splitlines() == [
            "newsbeam demo starts Google's fake Pub/Sub and a pipeline …",
            "builds the fake with Go, which takes a minute, once …",
        ]
    finally:
        starter.kill_session(process)
    wait_until(lambda: not any(map(is_alive, pids.read_text().split())), "the building to end")
    assert [p.suffix for p in cache.iterdir()] == [".lock"]


def is_alive(pid: str) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--model", "/nowhere"), "/nowhere"),
        (("--rate", "0"), "--rate"),
        (("--rnner", "x"), "--rnner"),
        (("--with", "rabbits"), "'rabbits'"),
    ],
)
def test_what_can_not_work_is_one_line(args: tuple[str, ...], message: str) -> None:
    code, _, stderr = demo(*args)
    assert code == 2
    (line,) = stderr.splitlines()
    assert message in line


def test_without_go_is_one_line(tmp_path: Path) -> None:
    nowhere = {"PATH": str(tmp_path), "NEWSBEAM_CACHE": str(tmp_path / "cache")}
    code, stdout, stderr = demo("--with", "pubsub", env=nowhere)
    assert code == 2
    (line,) = stderr.splitlines()
    assert "`go` is not on PATH" in line
    assert len(stdout.splitlines()) == 1
