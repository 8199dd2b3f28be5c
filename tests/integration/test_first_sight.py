"""What a newcomer sees: nothing that heals, or is as it should be, looks like a fault."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.demo.traffic import sample_news
from tests.integration.harness import DELIVERIES, SUMMARY, Done, Topics, finished, running, short
from tests.servers.apache_kafka import KafkaCluster

REPO = Path(__file__).parents[2]
FAULT = re.compile(
    r"\b(?:ERROR|WARN|WARNING|CRITICAL|FATAL)\b|Fatal|Traceback|(?:Exception|Error|Warning)\b|"
    r"\b(?:[Ff]ailed|[Uu]navailable|[Dd]eprecated|[Rr]efused|[Tt]imed out|not available)\b|"
    r"[Dd]isconnect|^[IWEF]0000",
)
API = """
import newsbeam
import apache_beam as beam

with beam.Pipeline() as pipeline:
    news = pipeline | beam.Create([{"title": "Stocks rally"}, {}]) | newsbeam.ClassifyNews()
    news.categorized | beam.Map(lambda item: print(item.category))
    news.dead_letters | "Dead" >> beam.Map(lambda letter: print(letter.stage))
"""


def check(said: str) -> None:
    """Fails on a line that a newcomer would take for a fault."""
    assert not [line for line in said.splitlines() if FAULT.search(line)], said


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with news, labelled news, and results."""
    lines = b"\n".join(message.value for message in sample_news()[:20])
    (tmp_path / "in.jsonl").write_bytes(lines + b"\n")
    (tmp_path / "test.csv").write_text("2,Striker scores twice as hosts win\n4,New browser\n")
    return tmp_path


@pytest.mark.parametrize(
    "args",
    [
        "run --source in.jsonl --sink out.jsonl",
        "run --source - --sink -",
        "classify Stocks",
        "classify",
        "evaluate --csv test.csv",
        "model inspect ag_news_small",
        "model verify ag_news_mini",
        "consume out.jsonl",
        "--help",
        "--version",
    ],
)
def test_commands(args: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = ("in.jsonl", "out.jsonl", "test.csv")
    words = [str(files / word) if word in paths else word for word in args.split()]
    if words[0] == "consume":
        finished("run", "--source", str(files / "in.jsonl"), "--sink", words[1])
    # As a shell starts it: what is imported may speak, too.
    reads = "-" in words or words == ["classify"]
    stdin = (files / "in.jsonl").read_bytes() if reads else b""
    done = finished(*words, stdin=stdin, anew=True)
    assert done.code == 0, done.stderr
    check(done.stderr)
    if words[0] in ("evaluate", "model") or words[0].startswith("--"):  # others show the news
        check(done.stdout)


def test_the_demo() -> None:
    done = finished("demo", "--seconds", "2", anew=True)
    assert done.code == 0, done.stderr
    first, *_ = done.stdout.splitlines()
    assert first.startswith("newsbeam demo starts a broker and a pipeline")
    # Its poison is what dead letters tell of, and its news may tell of anything.
    told = re.compile(r"dead letter at |\S+ +[01]\.\d\d  ")
    check("\n".join(s for s in done.stdout.splitlines() if not told.match(s)))
    assert done.stderr == ""


def test_kafka_to_kafka(embedded: Topics) -> None:
    embedded.produce(short(20))
    done = finished(
        *embedded.args("--delivery", "at_least_once", "--stop_at_end"),
        anew=True,
    )
    assert done.code == 0, done.stderr
    check(done.stderr)
    shown = finished("consume", f"kafka://{embedded.servers}/{embedded.out}", anew=True)
    assert shown.code == 0
    assert len(shown.stdout.splitlines()) == 21
    check(shown.stderr)


def test_the_python_interface(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(API)
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        check=True,
    )
    # Beam itself says this where it is imported without its Google Cloud parts.
    said = [s for s in done.stderr.splitlines() if "apitools not found" not in s]
    check("\n".join(said))
    assert sorted(done.stdout.split()) == ["Business", "ParseNews"]


@DELIVERIES
def test_a_broker_that_restarts(
    delivery: str, kafka: Topics, apache_kafka: KafkaCluster, tmp_path: Path
) -> None:
    kafka.produce(short(20))
    done: Done
    follow = ["consume", f"kafka://{kafka.servers}/{kafka.out}", "--follow"]
    with (
        running(kafka.args("--delivery", delivery), tmp_path) as run,
        running(follow, tmp_path) as consume,
    ):
        run.wait_for(lambda: kafka.count() >= 20, "the first news to come out")
        apache_kafka.kill()
        apache_kafka.restart()
        kafka.produce(short(20, begin=20))
        run.wait_for(lambda: kafka.count() >= 40, "the news after the restart to come out")
        assert consume.running
        check(consume.log)
        done = run.drain()
    assert SUMMARY.search(done.stderr)
    check(healed(done.stderr))


def healed(said: str) -> str:
    """What was said, but for our own line that says what is waited for."""
    own = re.compile(r" INFO newsbeam\S*: .*; trying again for \d+ s$")
    return "\n".join(line for line in said.splitlines() if not own.search(line))
