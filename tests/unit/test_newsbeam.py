"""The public face: what it offers, and that it starts without Apache Beam."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import newsbeam


def test_load_and_predict() -> None:
    classifier = newsbeam.load(max_length=64, long_text="max", max_windows=3, threshold=0.4)
    text = "Striker scores twice in the second half as the home team win the cup final"
    prediction = classifier.predict(text)
    assert isinstance(prediction, newsbeam.Prediction)
    assert prediction.category == "Sports"
    assert (classifier.max_length, classifier.settings.max_windows) == (64, 3)
    assert classifier.settings.threshold == 0.4


def test_every_name_is_there() -> None:
    for name in newsbeam.__all__:
        assert getattr(newsbeam, name).__name__ == name
        assert name in dir(newsbeam)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        newsbeam.nothing  # noqa: B018


def test_names_are_those_of_the_steps() -> None:
    from transforms.classify_news import ClassifyNews
    from transforms.records import NewsItem

    assert newsbeam.ClassifyNews is ClassifyNews
    assert newsbeam.NewsItem is NewsItem


def test_version() -> None:
    assert newsbeam.__version__ == importlib.metadata.version("newsbeam")


def test_faults_are_one_class() -> None:
    with pytest.raises(newsbeam.BundleError, match="no such folder"):
        newsbeam.load("/no/such/model")


@pytest.mark.parametrize(
    "setting", [{"max_length": "128"}, {"threshold": "0.5"}, {"multi_label": "yes"}]
)
def test_settings_of_another_kind(setting: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(setting))} '.*': choose "):
        newsbeam.load(**setting)  # type: ignore[arg-type]


@pytest.mark.parametrize("module", ["newsbeam", "pipeline.commands.classify", "models.evaluate"])
def test_beam_is_not_imported(module: str) -> None:
    code = f"import sys, {module}; sys.exit('apache_beam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_type_checker_knows_its_names(tmp_path: Path) -> None:
    checker = pytest.importorskip("mypy.api")
    user = tmp_path / "user.py"
    user.write_text("import newsbeam\nnewsbeam.load, newsbeam.__version__\nnewsbeam.nothing\n")
    # What it imports is not looked at: that would take long.
    alone = ["--follow-imports=skip", "--config-file=", f"--cache-dir={tmp_path}"]
    said, _, _ = checker.run([*alone, newsbeam.__file__, str(user)])
    assert [line.split(": ", 1)[1] for line in said.splitlines()[:-1]] == [
        'error: Module has no attribute "nothing"  [attr-defined]'
    ]
