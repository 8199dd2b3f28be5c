"""`newsbeam evaluate`: tables, JSON, a picture, and what is wrong in one line."""

from __future__ import annotations

import bz2
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from models.errors import BundleError, ModelError
from models.labelled_news import AG_NEWS_CLASSES
from models.onnx import OnnxModel
from pipeline.commands.evaluate import evaluate
from tests.unit.models.conftest import write_bundle
from transforms.errors import ConfigurationError

ROWS = """\
2,Cup final,Striker scores twice in the second half as the home team win
3,Bank profit,"Shares fall as the bank reports lower quarterly profit, cuts dividend"
4,Browser hole,New software update fixes security hole in web browser\\researchers say
1,Peace talks,President meets foreign ministers after border clashes kill dozens
1,Another match,Striker scores twice in the second half as the home team win
"""

app = typer.Typer()
app.command()(evaluate)


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in args], standalone_mode=False)


@pytest.fixture
def news(tmp_path: Path) -> Path:
    file = tmp_path / "news.csv"
    file.write_text(ROWS)
    return file


def test_json(news: Path) -> None:
    result = run("--csv", news, "--json")
    assert result.return_value == 0
    values = json.loads(result.stdout)
    assert values["eval_accuracy"] == 0.8
    assert values["samples"] == 5
    assert values["confusion"] == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    for name in ("loss", "precision", "recall", "f1", "runtime"):
        assert values[f"eval_{name}"] > 0
    for name in ("samples_per_second", "steps_per_second"):
        assert values[f"eval_{name}"] > 0
    assert result.stderr == ""  # no progress bar where there is no terminal


@pytest.mark.parametrize("first", [0, 1])
def test_labels_that_fit_numbers_from_0_and_from_1(news: Path, first: int) -> None:
    lines = ROWS.splitlines()[:2]
    classes = ("Sports", "Business")
    numbers = [first + AG_NEWS_CLASSES.index(name) for name in classes]
    news.write_text("".join(f"{n}{line[1:]}\n" for n, line in zip(numbers, lines, strict=True)))
    result = run("--csv", news, "--json")
    values = json.loads(result.stdout)
    assert (values["eval_accuracy"], values["other_accuracy"]) == (1.0, 0.0)
    assert values["labels_from"] == first
    assert [row["support"] for row in values["per_label"]] == [0, 1, 1, 0]
    [said] = result.stderr.splitlines()
    assert f"read from {first} (accuracy 1.0000" in said
    assert "--labels_from" in said
    result = run("--csv", news, "--json", "--labels_from", str(1 - first))
    assert json.loads(result.stdout)["eval_accuracy"] == 0.0
    assert result.stderr == ""


def test_limit_and_batch_size(news: Path) -> None:
    values = json.loads(
        run(
            "--csv", news, "--json", "--limit", "4", "--batch_size", "2", "--max_length", "5"
        ).stdout
    )
    assert values["samples"] == values["truncated"] == 4
    steps = values["eval_steps_per_second"] * values["eval_runtime"]
    assert steps == pytest.approx(2)


def test_calibrate(news: Path) -> None:
    small = ("--csv", news, "--model", "ag_news_small")
    values = json.loads(run(*small, "--json", "--calibrate").stdout)
    fitted = values["fitted_temperature"]
    assert fitted > 1  # 4 of 5 are right, and the scores are surer than that
    assert f'"temperature": {fitted:.4f}' in run(*small, "--calibrate").stdout
    warm = json.loads(run(*small, "--json", "--temperature", str(fitted)).stdout)
    assert warm["temperature"] == fitted
    assert warm["eval_loss"] < values["eval_loss"]
    assert warm["fitted_temperature"] is None


def test_a_cascade_is_not_calibrated_as_one(news: Path) -> None:
    result = run("--csv", news, "--calibrate")
    assert isinstance(result.exception, BundleError)
    assert str(result.exception) == (
        "model ag_news: is a cascade, and each of its models has a temperature of its own; "
        "calibrate ag_news_mini and ag_news_small"
    )


def test_a_cascade_says_who_answered(news: Path) -> None:
    values = json.loads(run("--csv", news, "--json").stdout)
    assert sum(group["samples"] for group in values["by_model"]) == values["samples"]
    assert {group["name"].partition("@")[0] for group in values["by_model"]} <= {
        "ag_news_mini",
        "ag_news_small",
    }
    assert "By model" in run("--csv", news).stdout
    assert "By model" not in run("--csv", news, "--model", "ag_news_mini").stdout


def test_no_temperature_of_texts_that_are_all_right(news: Path) -> None:
    news.write_text("2,Cup,Striker scores twice as United win the cup final\n")
    shown = run("--csv", news, "--calibrate", "--model", "ag_news_mini").stdout
    assert "No temperature fits these texts (the search ended at 0.05): they are too few" in shown
    assert '"temperature"' not in shown


def test_long_texts(news: Path) -> None:
    args = ("--csv", news, "--max_length", "8", "--long_text", "max")
    values = json.loads(run(*args, "--json").stdout)
    assert (values["truncated"], values["long_text"]) == (0, "max")
    news.write_text("2,Cup," + "final win " * 400 + "\n")
    assert "1 texts were longer than 64 windows of 8 tokens" in run(*args).stdout
    fewer = (*args, "--max_windows", "3")
    assert "1 texts were longer than 3 windows of 8 tokens" in run(*fewer).stdout
    assert json.loads(run(*fewer, "--json").stdout)["max_windows"] == 3


@pytest.mark.parametrize("long_text", ["truncate", "average", "max"])
def test_as_the_model_says(tmp_path: Path, long_text: str) -> None:
    """Any default of a bundle can be evaluated, and its temperature fitted."""
    says = {"long_text": long_text, "max_length": 8}
    says |= {} if long_text == "truncate" else {"max_windows": 2}
    folder = write_bundle(tmp_path / "tiny", config=says)
    news = tmp_path / "news.csv"
    rows = [
        ("Sports", "ball " * 13),
        ("Business", "bank " * 9),
        ("Sports", "stock"),
        ("Sports", "goal"),
    ]
    news.write_text("label,body\n" + "".join(f"{label},{text}\n" for label, text in rows))
    args = ("--csv", news, "--model", folder, "--calibrate")
    values = json.loads(run(*args, "--json").stdout)
    windows = 1 if long_text == "truncate" else 2
    assert (values["max_length"], values["long_text"], values["max_windows"]) == (
        8,
        long_text,
        windows,
    )
    assert values["truncated"] == 3 - windows
    shown = run(*args).stdout
    assert f'"temperature": {values["fitted_temperature"]:.4f}' in shown
    reads = {
        "truncate": "the first 8 tokens",
        "average": "up to 2 windows of 8 tokens, averaged",
        "max": "up to 2 windows of 8 tokens, their highest scores",
    }
    assert f": 4 texts, of each {reads[long_text]}" in " ".join(shown.split())
    warm = run(*args[:4], "--temperature", str(values["fitted_temperature"]), "--json").stdout
    assert json.loads(warm)["eval_loss"] < values["eval_loss"]
    # A length alone cuts texts off there.
    other = json.loads(run(*args, "--max_length", "5", "--json").stdout)
    assert (other["max_length"], other["long_text"], other["truncated"]) == (5, "truncate", 2)


def test_tables(news: Path) -> None:
    text = run("--csv", news).stdout
    assert "eval_accuracy" in text
    assert "0.80000" in text
    assert "95%" in text
    assert "macro" in text
    for label in ("World", "Sports", "Business", "Sci/Tech"):
        assert text.count(label) == 3  # figures, and both sides of the confusion matrix
    assert "expected_calibration_error" in text


def test_plot(news: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    picture = tmp_path / "news.png"
    result = run("--csv", news, "--plot", picture)
    assert result.return_value == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in result.stderr


def test_what_is_wrong(news: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("9,x\n")
    for args, kind, words in (
        (("--csv", tmp_path / "no.csv"), ConfigurationError, "No such file"),
        (("--csv", broken), ConfigurationError, "line 1: '9' is no label"),
        (("--csv", news, "--plot", tmp_path / "a.doc"), ConfigurationError, "ends in .png"),
        (("--csv", news, "--max_length", "600"), ConfigurationError, "--max_length 600"),
        (("--csv", news, "--temperature", "-1"), ConfigurationError, "--temperature -1.0: choose"),
        (
            ("--csv", news, "--long_text", "truncate", "--max_windows", "2"),
            ConfigurationError,
            "--max_windows 2: goes with long_text average or max",
        ),
        (("--csv", news, "--model", tmp_path / "no"), BundleError, "no such folder"),
    ):
        result = run(*args)
        assert isinstance(result.exception, kind)
        assert words in str(result.exception)
        assert "\n" not in str(result.exception)


def test_a_row_that_cannot_be_classified(news: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(self: OnnxModel, rows: list[list[int]]) -> list[object]:
        return [ModelError("poison")] * len(rows)

    monkeypatch.setattr(OnnxModel, "run", poisoned)
    result = run("--csv", news)
    assert result.return_value == 1
    assert result.stderr == f"newsbeam: {news}: a row could not be classified: poison\n"


@pytest.mark.parametrize("name", ["news.csv.bz2", "news.CSV.BZ2", "news.csv", "n[1].csv.bz2"])
def test_archives_are_unpacked(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bz2.compress(ROWS.encode()))
    assert json.loads(run("--csv", tmp_path / name, "--json").stdout)["samples"] == 5
    if "[" not in name:
        assert json.loads(run("--csv", tmp_path / "news*", "--json").stdout)["samples"] == 5


def test_a_damaged_archive_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "news.csv").write_bytes(bz2.compress(ROWS.encode())[:-5])
    result = run("--csv", tmp_path / "news.csv")
    assert isinstance(result.exception, ConfigurationError)
    assert "is damaged" in str(result.exception)


def test_several_files_are_refused(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(ROWS)
    result = run("--csv", tmp_path / "*.csv")
    assert "stands for 2 files" in str(result.exception)
