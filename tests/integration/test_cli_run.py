"""The command line as its users meet it: help, and what can't be reached or loaded.

What can be wrong with an option is in the unit tests.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from models.locate import PACKAGED
from pipeline.cli import app
from pipeline.demo.broker import EmbeddedBroker
from tests.integration.harness import Topics, finished, refused
from tests.servers.processes import free_port

#: A bundle that is no cascade.
SMALL = PACKAGED["ag_news_small"]

_COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
#: Every command and its flags.
FLAGS = {
    name: [flag for option in command.params for flag in option.opts if flag.startswith("--")]
    for name, command in _COMMANDS.items()
}
GROUPS = {
    "run": ("Endpoints", "News items", "Model", "Watching", "Logging"),
    "classify": ("Model", "Scores"),
}


def test_help_lists_the_commands() -> None:
    done = finished("--help", anew=True)
    assert (done.code, done.stderr) == (0, "")
    assert FLAGS.keys() >= {"run", "classify", "evaluate", "consume", "demo"}
    assert all(f" {command} " in done.stdout for command in FLAGS)


@pytest.mark.parametrize("command", FLAGS)
def test_help_is_grouped_and_tells_every_flag(command: str) -> None:
    done = finished(command, "--help")
    assert (done.code, done.stderr) == (0, "")
    for flag in FLAGS[command]:
        assert f" {flag} " in done.stdout, flag
    for group in GROUPS.get(command, ()):
        assert f"─ {group} ─" in done.stdout


def test_a_wrong_command_is_one_line() -> None:
    assert "rnu" in refused("rnu")


def test_no_broker_is_one_line() -> None:
    server = f"127.0.0.1:{free_port()}"
    at = f"kafka://{server}"
    # How long it tries is a setting like any other.
    line = refused("run", "--source", f"{at}/a?bootstrap_timeout_ms=500", "--sink", f"{at}/b")
    assert f"can't reach Kafka at {server}" in line


def test_a_missing_topic_is_one_line(
    embedded_broker: EmbeddedBroker, embedded: Topics, unique: Callable[[str], str]
) -> None:
    none = unique("none")
    line = refused(*embedded._replace(news=none).args())
    assert f"--source: no topic '{none}' at {embedded.servers}: create it" in line
    line = refused(*embedded._replace(out=none).args())
    assert f"--sink: no topic '{none}'" in line
    assert "--create_topics" in line
    assert f"--dead_letters: no topic '{none}'" in refused(*embedded._replace(dead=none).args())


def test_settings_that_no_producer_takes_are_one_line(embedded: Topics) -> None:
    line = refused(*embedded.args(source_query="&max_in_flight_requests_per_connection=10"))
    assert f"Kafka at {embedded.servers} can't be used with these settings" in line
    assert "max_in_flight_requests_per_connection=10" in line


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _one_label_too_many(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["id2label"]["4"] = "Weather"
    (folder / "config.json").write_text(json.dumps(config))


def _no_labels(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"]
    (folder / "config.json").write_text(json.dumps(config))


def _cut(name: str) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return cut


def _not_onnx(folder: Path) -> None:
    (folder / "model_quantized.onnx").write_bytes(b"this is no model")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_remove("config.json"), "config.json"),
        (_remove("tokenizer.json"), "tokenizer"),
        (_remove("model_quantized.onnx"), "model.onnx"),
        (_one_label_too_many, "label"),
        (_no_labels, "id2label"),
        (_cut("config.json"), "config.json"),
        (_cut("tokenizer.json"), "tokenizer.json"),
        (_cut("model_quantized.onnx"), "model_quantized.onnx"),
        (_not_onnx, "model_quantized.onnx"),
    ],
    ids=["no-config", "no-tokenizer", "no-model", "labels", "no-labels", *["damaged"] * 4],
)
def test_a_broken_model_is_one_line(
    damage: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(SMALL, folder)
    damage(folder)
    (tmp_path / "news.jsonl").write_text('{"title": "Stocks fell"}')
    source, sink = str(tmp_path / "news.jsonl"), tmp_path / "out.jsonl"
    line = refused("run", "--source", source, "--sink", str(sink), "--model", str(folder))
    assert words in line
    assert str(folder) in line
    assert not sink.exists()
