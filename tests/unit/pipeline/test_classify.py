"""`newsbeam classify`: texts and lines, for people and machines, and what is wrong in one line."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from models.classifier import TextClassifier
from models.errors import BundleError, ModelError
from models.onnx import OnnxModel
from pipeline.commands import classify as command
from tests.unit.models.conftest import write_bundle
from transforms.errors import ConfigurationError

REPO = Path(__file__).parents[3]
SPORTS = "Striker scores twice in the second half as the home team win the cup final"
BUSINESS = "Shares fall as the bank reports lower quarterly profit and cuts its dividend"

app = typer.Typer()
app.command()(command.classify)


def run(*args: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, list(args), input=stdin, standalone_mode=False)


def test_texts() -> None:
    result = run(SPORTS, f"  {BUSINESS}\tagain\n")
    assert result.return_value == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == ["Sports", "Business"]
    assert rows[0][2] == SPORTS
    assert rows[1][2] == f"{BUSINESS} again"
    assert all(0.5 < float(row[1]) <= 1 for row in rows)
    assert result.stderr == ""


def test_json_is_what_the_python_call_gives() -> None:
    result = run(SPORTS, "--json", "--max_length", "8")
    (line,) = result.stdout.splitlines()
    assert json.loads(line) == json.loads(
        json.dumps(TextClassifier.load(max_length=8).predict(SPORTS).as_dict())
    )
    assert json.loads(line)["truncated"]


def test_lines_of_stdin() -> None:
    stdin = f"{SPORTS}\r\n\n  \n{BUSINESS}\ncaf\xe9 ".encode("latin-1")
    result = run("--json", stdin=stdin)
    values = [json.loads(line) for line in result.stdout.splitlines()]
    assert [v["line"] for v in values] == [1, 4, 5]
    assert [v["category"] for v in values[:2]] == ["Sports", "Business"]
    assert values[0]["text"] == SPORTS
    assert values[2]["text"] == "caf\ufffd "
    assert result.stderr.splitlines() == [
        "newsbeam: line 5 is not UTF-8; bytes that are not were read as \ufffd",
        "newsbeam: 2 empty lines skipped",
    ]
    assert result.return_value == 0


def test_a_dash_is_stdin() -> None:
    result = run("-", "--json", stdin=SPORTS.encode())
    assert json.loads(result.stdout)["text"] == SPORTS


@pytest.mark.parametrize(
    "data", [gzip.compress(SPORTS.encode()), SPORTS.encode("utf-16")], ids=["gzip", "utf-16"]
)
def test_what_is_no_text_is_refused(data: bytes) -> None:
    result = run(stdin=data)
    assert isinstance(result.exception, ConfigurationError)
    assert str(result.exception).startswith("stdin is ")


def test_nothing_on_stdin() -> None:
    result = run(stdin=b"")
    assert (result.stdout, result.stderr, result.return_value) == ("", "", 0)


def test_lines_are_classified_as_they_come() -> None:
    code = (
        "import sys, typer; from pipeline.commands.classify import classify;"
        "app = typer.Typer(); app.command()(classify);"
        "sys.exit(app(['--json'], standalone_mode=False))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        for number, (text, category) in enumerate([(SPORTS, "Sports"), (BUSINESS, "Business")], 1):
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            # stdin stays open: an answer that waits for more would never come.
            answer = json.loads(process.stdout.readline())
            assert (answer["line"], answer["category"]) == (number, category)
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


def test_a_reader_that_goes_away() -> None:
    code = (
        "import sys, typer; from pipeline.commands.classify import classify;"
        "app = typer.Typer(); app.command()(classify);"
        "sys.exit(app([], standalone_mode=False))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(f"{SPORTS}\n".encode())
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_scores_settings() -> None:
    args = ("--json", "--activation", "sigmoid", "--multi_label", "--threshold", "0")
    values = json.loads(run(SPORTS, *args).stdout)
    assert values["labels"][0] == "Sports"
    assert sorted(values["labels"]) == sorted(values["scores"])
    plain = run(SPORTS, *args[1:]).stdout
    assert plain.split("\t")[0] == ",".join(values["labels"])


def test_long_texts() -> None:
    text = f"{SPORTS}. " + f"{BUSINESS}. " * 12
    args = (text, "--json", "--max_length", "20")
    cut = json.loads(run(*args).stdout)
    assert (cut["category"], cut["tokens"], cut["truncated"]) == ("Sports", 20, True)
    for long_text in ("average", "max"):
        found = json.loads(run(*args, "--long_text", long_text).stdout)
        assert found["tokens"] > 100
        assert not found["truncated"]
        assert (sum(found["scores"].values()) > 1.01) == (long_text == "max")
    assert json.loads(run(*args, "--long_text", "average").stdout)["category"] == "Business"


def test_long_texts_as_the_model_says(tmp_path: Path) -> None:
    says = {"long_text": "average", "max_length": 8, "max_windows": 2}
    model = str(write_bundle(tmp_path / "tiny", config=says))
    # Two windows have room for 6 words each.
    short, fits, long = "ball", "ball " * 12, "bank " * 13
    result = run(short, fits, long, "--model", model, "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(f["tokens"], f["truncated"]) for f in found] == [(3, False), (14, False), (14, True)]
    words = "newsbeam: 1 text was longer than 2 windows of 8 tokens; the rest was not read\n"
    assert result.stderr == words
    result = run(short, fits, long, "--model", model, "--json", "--max_length", "9")
    assert [json.loads(line)["tokens"] for line in result.stdout.splitlines()] == [3, 9, 9]
    words = "newsbeam: 2 texts were longer than 9 tokens; the rest was not read\n"
    assert result.stderr == words
    result = run(long, "--model", model, "--json", "--max_windows", "4")
    assert not json.loads(result.stdout)["truncated"]
    assert result.stderr == ""


def test_temperature() -> None:
    plain, warm = (json.loads(run(SPORTS, "--json", "--temperature", t).stdout) for t in ("1", "9"))
    assert plain["category"] == warm["category"]
    assert warm["score"] < plain["score"]


def test_a_terminal_gets_a_bar_of_scores() -> None:
    ours, terminal = pty.openpty()
    env = {**os.environ, "COLUMNS": "70", "TERM": "xterm", "NO_COLOR": "1"}
    command_line = [sys.executable, "-m", "pipeline", "classify", SPORTS, f"\x1b[2J{BUSINESS}"]
    subprocess.run(command_line, cwd=REPO, env=env, stdout=terminal, check=True)
    os.close(terminal)
    screen = b""
    with (
        contextlib.suppress(OSError),
        os.fdopen(ours, "rb", 0) as output,
    ):  # a pty ends with an error
        while part := output.read(4096):
            screen += part
    assert b"\x1b[2J" not in screen  # what a text says is not obeyed
    first, second = re.sub("\x1b\\[[0-9;]*m", "", screen.decode()).splitlines()
    assert first.startswith("Sports  ")
    assert "%" in first
    assert first.count("█") + first.count("▓") + first.count("▒") + first.count("░") in (19, 20, 21)
    assert first.endswith("…")
    assert second.startswith("Business")


@pytest.mark.parametrize(
    "name", ["FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE"]
)
def test_colour_that_is_forced_cuts_no_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("COLUMNS", "40")
    text = f"{SPORTS} {BUSINESS}"
    [row] = run(text).stdout.splitlines()
    assert row.split("\t")[2] == text


def test_a_text_that_cannot_be_classified(monkeypatch: pytest.MonkeyPatch) -> None:
    real = OnnxModel.run

    def poisoned(self: OnnxModel, rows: Sequence[Sequence[int]]) -> list[Any]:
        return [
            ModelError("poison") if len(r) == 3 else x
            for r, x in zip(rows, real(self, rows), strict=True)
        ]

    monkeypatch.setattr(OnnxModel, "run", poisoned)
    result = run(stdin=f"a\n{SPORTS}\n".encode())
    assert result.return_value == 1
    assert result.stdout.startswith("Sports\t")
    assert result.stderr == "newsbeam: line 1 could not be classified: poison\n"


@pytest.mark.parametrize(
    ("args", "kind", "words"),
    [
        (("a", " "), ConfigurationError, "text 2 is empty"),
        (("a", "--max_length", "0"), ConfigurationError, "--max_length 0: choose 1 to 512"),
        (("a", "--threshold", "2"), ConfigurationError, "--threshold 2.0: choose a score"),
        (("a", "--model", "/no/such"), BundleError, "no such folder"),
        (("a", "--activation", "relu"), Exception, "softmax.*sigmoid"),
        (("a", "--long_text", "cut"), Exception, "truncate.*average.*max"),
        (("a", "--max_windows", "65"), ConfigurationError, "^--max_windows 65: choose 1 to 64"),
        (
            ("a", "--max_length", "9", "--max_windows", "2"),
            ConfigurationError,
            "^--max_windows 2: goes with long_text average or max, and here it is truncate; give",
        ),
        (("a", "--temperature", "0"), ConfigurationError, "--temperature 0.0: choose a number"),
    ],
)
def test_what_is_wrong(args: tuple[str, ...], kind: type[Exception], words: str) -> None:
    result = run(*args)
    assert result.stdout == ""
    with pytest.raises(kind, match=words):
        raise result.exception or AssertionError("no error")


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSBEAM_MAX_LENGTH", "4")
    monkeypatch.setenv("NEWSBEAM_JSON", "1")
    assert json.loads(run(SPORTS).stdout)["tokens"] == 4


def test_help_names_every_option() -> None:
    text = run("--help").stdout
    scores = ("activation", "threshold", "multi_label", "temperature")
    for option in ("model", "max_length", "long_text", "max_windows", *scores, "json"):
        assert f"--{option}" in text
        assert f"NEWSBEAM_{option.upper()}" in text
