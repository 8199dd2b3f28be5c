"""`newsbeam model train` refuses in one line, before torch is loaded."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.commands import model_train

ROWS = [f"{label},{word} number {i}" for label in "ab" for i, word in enumerate("qrstuvwxyz")]


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if torch were there; nothing here gets so far as to use it."""
    monkeypatch.setattr(model_train, "PACKAGES", ())


def train(file: Path, *args: str | Path) -> int:
    return cli.main(["model", "train", str(file), *map(str, args)])


def refused(
    capsys: pytest.CaptureFixture[str], folder: Path, lines: list[str], *args: str | Path
) -> str:
    """The one line that says why a file is not taken."""
    file = folder / "news.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert train(file, "--to", folder / "own", *args) == 2
    assert "torch" not in sys.modules or "training.own_model" not in sys.modules
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("newsbeam: ")
    return line


def test_without_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find("json")
    )
    line = refused(capsys, tmp_path, ROWS)
    assert line == (
        "newsbeam: model train: needs torch; pip install 'newsbeam[train]', in an environment of its "
        "own: with torch it is a download of 2.7 GB"
    )
    assert not (tmp_path / "own").exists()


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["label,text", *ROWS[:10]], "every row has the label 'a'; give rows of two labels"),
        (["label,text", *ROWS[:13]], "label 'b' has 3 different rows; give each label 8 or more"),
        (["label,text", "a, ", *ROWS], "news.csv, line 2: the text is empty; leave the row out"),
        (["label,text", ",hm", *ROWS], "news.csv, line 2: the label is empty; name one, or leave"),
        (["topic,text", *ROWS], "its columns are topic, text; name the label's column label"),
        (["label,url", *ROWS], "its columns are label, url; name the text's column text"),
        ([], "no rows; name a CSV file"),
    ],
    ids=["one", "few", "empty", "unlabelled", "no_label", "no_text", "nothing"],
)
def test_files_that_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[str], words: str
) -> None:
    assert words in refused(capsys, tmp_path, lines)
    assert not (tmp_path / "own").exists()


@pytest.mark.usefixtures("packages")
def test_other_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--epochs 0: give a number above 0" in refused(capsys, tmp_path, ROWS, "--epochs", "0")
    assert "no such folder; name a" in refused(capsys, tmp_path, ROWS, "--from", "nowhere")
    line = refused(capsys, tmp_path, ROWS, "--from", "ag_news")
    assert line.endswith("is a cascade; name one of its models: ag_news_mini and ag_news_small")
    assert "--held_out" in refused(capsys, tmp_path, ROWS, "--held_out", "0.9")
    (tmp_path / "own").mkdir(exist_ok=True)
    (tmp_path / "own/mine.txt").touch()
    assert "own: is not empty; name a new folder" in refused(capsys, tmp_path, ROWS)
    assert train(tmp_path / "none.csv", "--to", tmp_path / "x") == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert "none.csv: No such file or directory; name a CSV file of labelled news" in line
