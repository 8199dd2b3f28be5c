"""Passwords appear nowhere: not in logs, errors or help, nor in what the pipeline says of itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest

from pipeline.connect import connect
from pipeline.graph import build
from pipeline.options import RunOptions
from tests.integration.harness import Done, Topics, finished, make_topics, running, short
from tests.integration.test_security import config_file, over
from tests.servers.apache_kafka import KafkaCluster
from tests.servers.processes import free_port
from transforms.kafka.settings import KafkaSettings

WRONG = "Tr0ub4dor-and-3"
DEBUG = ("--log_level", "debug")


@pytest.fixture
def topics(secured_kafka: KafkaCluster, unique: Callable[[str], str]) -> Topics:
    return make_topics(secured_kafka.create_topic, secured_kafka.bootstrap_servers, unique)


@pytest.fixture
def password(secured_kafka: KafkaCluster) -> str:
    password: str = secured_kafka.client_settings("PLAIN")["sasl_plain_password"]
    return password


def shown(done: Done) -> str:
    """All that a process has shown."""
    return done.stdout + done.stderr


@pytest.mark.parametrize("where", ["file", pytest.param("environment", marks=pytest.mark.long)])
def test_runs_that_succeed_and_that_fail_keep_them(
    secured_kafka: KafkaCluster, topics: Topics, tmp_path: Path, password: str, where: str
) -> None:
    topics.produce(short(10))
    secured, settings = over(topics, secured_kafka.client_settings("SCRAM-SHA-256"))

    def run(topics: Topics, *flags: str, **changed: Any) -> Done:
        given = {**settings, **changed}
        if where == "file":
            file = config_file(tmp_path, given)
            return finished(*topics.args(*DEBUG, *flags, "--kafka_config", file))
        env = {f"NEWSBEAM_KAFKA_{name.upper()}": str(value) for name, value in given.items()}
        return finished(*topics.args(*DEBUG, *flags), env=env)

    good = run(secured, "--stop_at_end")
    wrong = run(secured, sasl_plain_password=WRONG, bootstrap_timeout_ms=3_000)
    missing = run(secured._replace(news="no-such-topic"))
    unreachable = run(
        secured._replace(servers=f"127.0.0.1:{free_port()}"), bootstrap_timeout_ms=500
    )
    misspelt = run(secured, "--stop_at_end", sasl_plain_passwort=password)
    bad_value = run(secured, "--stop_at_end", sasl_mechanism="MAGIC")
    codes = [d.code for d in (good, wrong, missing, unreachable, misspelt, bad_value)]
    assert codes == [0, 2, 2, 2, 2, 2]
    for done in (good, wrong, missing, unreachable, misspelt, bad_value):
        assert password not in shown(done)
        assert WRONG not in shown(done)


def test_a_run_that_fails_later_keeps_them(
    secured_kafka: KafkaCluster, topics: Topics, tmp_path: Path, password: str
) -> None:
    secured, settings = over(topics, secured_kafka.client_settings("PLAIN"))
    args = secured.args(*DEBUG, "--kafka_config", config_file(tmp_path, settings))
    sent = topics.produce(short(10))
    with running(args, tmp_path) as first:
        first.wait_for(lambda: topics.count() == 10, "it to work")
        with running(args, tmp_path) as second:

            def first_ended() -> bool:
                sent.update(topics.produce(short(10, len(sent))))
                return not first.running

            second.wait_for(first_ended, "the first to be fenced")
            second.drain()
            logs = first.log + second.log
    assert first.wait().code == 3
    assert "Traceback" in first.log, "debug shows where a failure came from"
    assert password not in logs


def test_help_keeps_them(password: str) -> None:
    env = {"NEWSBEAM_KAFKA_SASL_PLAIN_PASSWORD": password}
    for command in ("run", "consume"):
        done = finished(command, "--help", env=env)
        assert done.code == 0
        assert password not in shown(done)


def test_a_command_line_that_holds_one_is_refused_without_repeating_it(password: str) -> None:
    at = "kafka://127.0.0.1:9"
    for ends in (
        ("--source", f"kafka://user:{password}@127.0.0.1:9/news", "--sink", "-"),
        ("--source", f"{at}/news?sasl_plain_password={password}", "--sink", "-"),
        ("--source", "-", "--sink", f"{at}/news?sasl.password={password}"),
        ("--source", "-", "--sink", f"http://user:{password}@127.0.0.1/news"),
    ):
        done = finished("run", *ends)
        assert (done.code, len(done.stderr.splitlines())) == (2, 1)
        assert password not in shown(done)


def test_settings_and_the_pipelines_display_data_keep_them(
    tmp_path: Path, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSBEAM_KAFKA_SASL_PLAIN_PASSWORD", password)
    at = "kafka://127.0.0.1:9"
    options = RunOptions(source=f"{at}/news", sink=f"{at}/out")
    ends = connect(options)
    pipeline = beam.Pipeline()
    build(pipeline, options, ends)
    proto = pipeline.to_runner_api()
    displayed = [
        str(data) + data.payload.decode(errors="replace")
        for transform in proto.components.transforms.values()
        for data in transform.display_data
    ]
    assert displayed
    settings = KafkaSettings.of("127.0.0.1:9")
    assert settings.for_client("consumer")["sasl_plain_password"] == password
    texts = [
        *displayed,
        repr(settings),
        str(settings),
        repr(ends),
        repr(options),
        repr(ends.source.read()),
    ]
    texts += list(proto.components.transforms)
    texts += [t.unique_name for t in proto.components.transforms.values()]
    assert not [text for text in texts if password in text]


def test_process_lists_keep_them(
    secured_kafka: KafkaCluster, topics: Topics, tmp_path: Path, password: str
) -> None:
    """Nothing of it is handed to a process on its command line."""
    secured, settings = over(topics, secured_kafka.client_settings("PLAIN"))
    args = secured.args("--kafka_config", config_file(tmp_path, settings))
    topics.produce(short(1))
    with running(args, tmp_path, anew=True) as process:
        process.wait_for(lambda: topics.count() == 1, "it to work")
        listed = subprocess.run(
            ["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True
        )
        process.drain()
    assert secured.news in listed.stdout
    assert password not in listed.stdout
