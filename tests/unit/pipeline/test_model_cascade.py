"""`newsbeam model cascade`: figures, a folder, a picture, and what is wrong in one line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from models import choose_cascade
from models.bundle import Bundle
from models.choose_cascade import Answers
from models.classifier import RawOutput, TextClassifier
from models.errors import ModelError
from models.onnx import OnnxModel
from pipeline import cli
from pipeline.commands import model
from pipeline.demo.traffic import sample_news
from tests.unit.models.conftest import names, write_bundle

MINI, SMALL = "ag_news_mini", "ag_news_small"


def run(*args: object) -> Result:
    command = ["cascade", *map(str, args)]
    return CliRunner().invoke(model.app, command, standalone_mode=False)


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """What a command says that ends with exit code 2."""
    assert cli.main(["model", "cascade", *map(str, args)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    return output.err.removeprefix("newsbeam: ").rstrip()


@pytest.fixture(scope="module")
def news(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """News of the demo, labelled by the full model: that is right about all of it."""
    file = tmp_path_factory.mktemp("news") / "news.csv"
    texts = [json.loads(message.value) for message in sample_news()]
    bodies = [f"{text.get('title', '')} {text.get('description', '')}" for text in texts]
    labels = [p.category for p in TextClassifier.load(SMALL).predict(bodies)]
    with file.open("w", newline="") as f:
        csv.writer(f).writerows([["label", "text"], *zip(labels, bodies, strict=True)])
    return file


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Path, Path]:
    """Two models that could be a cascade."""
    for name, dynamic in (("cheap", True), ("full", False)):
        write_bundle(tmp_path / name, dynamic=dynamic)
    return tmp_path / "cheap", tmp_path / "full"


def _twice_as_dear(answers: Callable[..., Answers]) -> Callable[..., Answers]:
    """Lets the full one of two tiny models, which cost the same, be the dearer one."""

    def told(classifier: TextClassifier, parts: Sequence[RawOutput], seconds: float) -> Answers:
        return answers(classifier, parts, 2.0 if classifier.bundle.name == "full" else 1.0)

    return told


def test_the_help_says_the_rule() -> None:
    text = " ".join(run("--help").stdout.replace("│", " ").split())
    assert "Chosen is the lowest score from which on neither is worse by more, a standard" in text


def test_a_score_is_chosen(news: Path, tmp_path: Path) -> None:
    result = run(MINI, SMALL, tmp_path / "both", "--on", news, "--loss", "0.006", "--json")
    assert result.return_value == 0
    values = json.loads(result.stdout)
    chosen, curve = values["chosen"], values["curve"]
    made = Bundle.load(tmp_path / "both")
    assert (values["model"], values["path"]) == (made.model_id, str(tmp_path / "both"))
    assert made.stages[0].min_score == chosen["min_score"]
    assert curve["samples"] == 248
    assert curve["full"]["accuracy"] == 1.0
    assert 0 < curve["cheap_cost"] < chosen["cost"] < 1
    assert 0 < chosen["share"] < 1
    kept = [
        max(p["most_loss"], p["most_calibration_loss"]) <= 0.006
        for p in curve["points"]
        if p["min_score"] >= chosen["min_score"]
    ]
    assert all(kept)
    below = max(p["min_score"] for p in curve["points"] if p["min_score"] < chosen["min_score"])
    [next_lower] = [p for p in curve["points"] if p["min_score"] == below]
    assert max(next_lower["most_loss"], next_lower["most_calibration_loss"]) > 0.006
    # What it says is what comes of it.
    texts = [row["text"] for row in csv.DictReader(news.open())]
    predictions = TextClassifier(made).predict(texts)
    asked = sum(p.model.startswith(SMALL) for p in predictions)
    assert asked / len(texts) == pytest.approx(chosen["share"])


def test_a_table(news: Path, tmp_path: Path) -> None:
    picture = tmp_path / "curve.png"
    pytest.importorskip("matplotlib", reason="matplotlib is an extra")
    result = run(MINI, SMALL, "--on", news, "--loss", "0.006", "--plot", picture)
    assert result.return_value == 0
    text = result.stdout
    assert f"{MINI}, and {SMALL} where it is not sure, on 248 texts of news.csv" in text
    [row] = [line for line in text.splitlines() if "chosen" in line]
    [said] = [line for line in text.splitlines() if line.startswith("From ")]
    score = said.split()[1]
    assert row.split()[1] == score
    assert f"From {score} on {MINI} answers: " in said
    assert f"of the texts reach {SMALL}. That costs 0." in said
    assert f"{MINI} alone" in text
    assert f"{SMALL} alone" in text
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert result.stderr == f"newsbeam: drew {picture}\n"
    assert names(tmp_path) == ["curve.png"]  # no folder was asked for


def test_a_score_by_hand(news: Path, tmp_path: Path) -> None:
    result = run(MINI, SMALL, tmp_path / "both", "--score", "0.9")
    made = Bundle.load(tmp_path / "both")
    assert result.stdout == f"{made.model_id} in {tmp_path / 'both'}\n"
    assert made.stages[0].min_score == 0.9
    values = json.loads(run(MINI, SMALL, "--score", "0.923", "--on", news, "--json").stdout)
    assert values["chosen"]["min_score"] == 0.923
    assert values["model"] is None
    values = json.loads(run(MINI, SMALL, tmp_path / "none", "--score", "0", "--json").stdout)
    assert (values["chosen"], values["curve"]) == (None, None)
    assert Bundle.load(tmp_path / "none").stages[0].min_score == 0


def test_several_labels_need_a_score(
    tmp_path: Path, news: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, dynamic in (("cheap", True), ("full", False)):
        several = {"problem_type": "multi_label_classification"}
        write_bundle(tmp_path / name, config=several, dynamic=dynamic)
    args = (tmp_path / "cheap", tmp_path / "full", tmp_path / "both")
    assert "give --score instead" in refused(capsys, *args, "--on", news)
    assert not (tmp_path / "both").exists()
    assert run(*args, "--score", "0.9").return_value == 0
    assert Bundle.load(tmp_path / "both").multi_label


def test_no_score_keeps_the_loss(
    news: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures are shown all the same, and no folder is made."""
    args = [MINI, SMALL, tmp_path / "both", "--on", news, "--loss", "0.001"]
    assert cli.main(["model", "cascade", *map(str, args)]) == 2
    output = capsys.readouterr()
    assert f"{SMALL} alone" in output.out
    assert "chosen" not in output.out
    assert output.err == (
        "newsbeam: --loss 0.001: a loss of 0.001 can't be seen on 248 texts; give more of them, or a "
        "--loss of 0.0041 or more\n"
    )
    assert cli.main(["model", "cascade", *map(str, args), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["chosen"] is None
    assert names(tmp_path) == []


def test_the_cheaper_one_first(
    news: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, SMALL, MINI, tmp_path / "both", "--on", news)
    assert said.startswith(f"models {SMALL} and {MINI}: the first costs ")
    assert said.endswith("name the cheaper one first")
    assert names(tmp_path) == []


def test_numbers_that_fit_two_readings(
    tiny: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choose_cascade, "_answers", _twice_as_dear(choose_cascade._answers))
    (tmp_path / "news.csv").write_text("1,bank\n1,stock\n" * 50)
    args = ["cascade", *map(str, tiny), "--score", "0.9", "--json"]
    args += ["--on", str(tmp_path / "news.csv")]
    for more, first, accuracy in (([], 0, 1.0), (["--labels_from", "1"], 1, 0.0)):
        assert cli.main(["model", *args, *more]) == 0
        output = capsys.readouterr()
        assert json.loads(output.out)["curve"]["full"]["accuracy"] == accuracy
        said = f"the labels fit numbers from 0 and from 1: read from {first}; --labels_from decides"
        assert output.err == ("" if more else f"newsbeam: {said}\n")


def test_what_is_wrong(
    tiny: tuple[Path, Path], news: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cheap, full = tiny
    new = tmp_path / "new"
    empty = tmp_path / "empty.csv"
    empty.touch()
    for args, words in (
        ((cheap, full, new), "give --on FILE, labelled news to choose the score on, or --score"),
        ((cheap, full, "--score", "0.9"), "--score 0.9: there is nothing to do; name a folder"),
        ((cheap, full, new, "--score", 1, "--plot", "a.png"), "nothing to draw; give --on FILE"),
        ((cheap, full, new, "--score", 2), "Invalid value for '--score'"),
        ((cheap, full, new, "--score", "nan"), "Invalid value for '--score'"),
        ((cheap, full, tmp_path, "--score", 1), "is not empty; name a new folder"),
        ((cheap, full, empty, "--score", 1), "empty.csv: is a file; name a new folder"),
        ((cheap, cheap, new, "--score", 1), "are the same model; name two"),
        ((cheap, SMALL, new, "--score", 1), f"the labels of cheap and {SMALL} differ"),
        (("ag_news", SMALL, new, "--score", 1), "model ag_news: is a cascade; name one of"),
        ((MINI, "ag_news", new, "--score", 1), f"its models: {MINI} and {SMALL}"),
        ((MINI, tmp_path / "no", new, "--score", 1), "no such folder"),
        ((cheap, full, new, "--on", empty), "empty.csv: no rows"),
        ((cheap, full, new, "--on", tmp_path / "no.csv"), "No such file"),
        ((cheap, full, new, "--on", news), "is no label of the model"),
        ((MINI, SMALL, "--on", news, "--plot", tmp_path / "a.doc"), "ends in .png"),
    ):
        assert words in refused(capsys, *args)
    assert names(tmp_path) == ["cheap", "empty.csv", "full"]


def test_a_row_that_cannot_be_classified(
    news: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(self: OnnxModel, rows: list[list[int]]) -> list[object]:
        return [ModelError("poison")] * len(rows)

    monkeypatch.setattr(OnnxModel, "run", poisoned)
    result = run(MINI, SMALL, tmp_path / "both", "--on", news)
    assert result.return_value == 1
    assert result.stderr == f"newsbeam: {news}: a row could not be classified: poison\n"
    assert names(tmp_path) == []
