"""The folder of a cascade: what is copied into it, what is named, and that it is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from models import locate
from models.bundle import Bundle
from models.classifier import TextClassifier
from models.errors import BundleError
from models.export.cascade import write_cascade
from models.locate import PACKAGED
from tests.unit.models.conftest import names, write_bundle

MINI, SMALL = "ag_news_mini", "ag_news_small"


def loaded(*named: str | Path) -> list[tuple[str, Bundle]]:
    return [(str(name), Bundle.load(name)) for name in named]


def entries(folder: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((folder / "config.json").read_text())["cascade"]
    return found


def test_shipped_ones_are_named(tmp_path: Path) -> None:
    bundle = write_cascade(tmp_path / "both", loaded(MINI, PACKAGED[SMALL]), 0.95)
    assert names(tmp_path / "both") == ["config.json"]
    assert entries(tmp_path / "both") == [{"model": MINI, "min_score": 0.95}, {"model": SMALL}]
    assert bundle == Bundle.load(tmp_path / "both")
    assert bundle.hash == Bundle.load().hash  # the default one


def test_folders_are_copied_and_can_be_moved(tmp_path: Path) -> None:
    for name, dynamic in (("quick", True), ("slow", False)):
        write_bundle(tmp_path / name, dynamic=dynamic)
        (tmp_path / name / "pytorch_model.bin").write_bytes(b"weights")
    (tmp_path / "slow" / "model.onnx_data").write_bytes(b"large")
    models = loaded(tmp_path / "quick", f"file://{tmp_path / 'slow'}")
    made = write_cascade(tmp_path / "both", models, 0.9)
    assert entries(tmp_path / "both") == [
        {"model": "quick", "min_score": 0.9},
        {"model": "slow"},
    ]
    assert names(tmp_path / "both" / "quick") == ["config.json", "model.onnx", "tokenizer.json"]
    assert "model.onnx_data" in names(tmp_path / "both" / "slow")
    assert [stage.bundle.model_id for stage in made.stages] == [b.model_id for _, b in models]
    moved = tmp_path / "elsewhere" / "both"
    moved.parent.mkdir()
    (tmp_path / "both").rename(moved)
    for name in ("quick", "slow"):
        shutil.rmtree(tmp_path / name)
    assert Bundle.load(moved).model_id == made.model_id
    assert TextClassifier.load(moved).predict("goal").category == "Sports"


def test_names_that_are_taken(tmp_path: Path) -> None:
    """By a model that comes with newsbeam, and by each other."""
    (tmp_path / "other").mkdir()
    write_bundle(tmp_path / MINI, dynamic=True)
    full = write_bundle(tmp_path / "other" / "tiny")
    both = write_bundle(tmp_path / "tiny", config={"temperature": 2.0})
    models = loaded(tmp_path / MINI, full)
    made = write_cascade(tmp_path / "one", models, 0.9)
    assert [s.bundle.name for s in made.stages] == [f"{MINI}-{models[0][1].hash}", "tiny"]
    models = loaded(both, full)
    made = write_cascade(tmp_path / "two", models, 0.9)
    assert [s.bundle.name for s in made.stages] == ["tiny", f"tiny-{models[1][1].hash}"]
    assert [s.bundle.hash for s in made.stages] == [bundle.hash for _, bundle in models]


def test_the_file_that_was_named(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    for name in ("model_quantized.onnx", "model_O2.onnx"):
        shutil.copyfile(write_bundle(tmp_path / name, dynamic=True) / "model.onnx", folder / name)
    models = loaded(folder / "model_O2.onnx", folder / "model.onnx")
    made = write_cascade(tmp_path / "both", models, 0.9)
    assert [s.bundle.hash for s in made.stages] == [bundle.hash for _, bundle in models]
    for stage in made.stages:
        assert names(stage.bundle.path) == ["config.json", "model.onnx", "tokenizer.json"]


def test_addresses_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, dynamic in (("cheap", True), ("full", False)):
        write_bundle(tmp_path / name, dynamic=dynamic)
    monkeypatch.setattr(locate, "fetch", lambda uri: tmp_path / uri.rpartition("/")[2])
    made = write_cascade(tmp_path / "both", loaded("hf://org/cheap", "gs://bucket/full"), 0.8)
    assert [entry["model"] for entry in entries(tmp_path / "both")] == [
        "hf://org/cheap",
        "gs://bucket/full",
    ]
    assert [stage.bundle.path for stage in made.stages] == [tmp_path / "cheap", tmp_path / "full"]


def test_nothing_is_written_over_and_nothing_half_done(tmp_path: Path) -> None:
    target = tmp_path / "both"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(BundleError, match="is not empty; name a new folder"):
        write_cascade(target, loaded(MINI, SMALL), 0.9)
    assert names(target) == ["mine.txt"]
    write_bundle(tmp_path / "tiny")
    with pytest.raises(BundleError, match=r"model 'new': the labels of tiny and .* differ"):
        write_cascade(tmp_path / "new", loaded(tmp_path / "tiny", SMALL), 0.9)
    assert names(tmp_path) == ["both", "tiny"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    for name, dynamic in (("cheap", True), ("full", False)):
        write_bundle(tmp_path / name, dynamic=dynamic)
    (tmp_path / "both").mkdir()
    write_cascade(tmp_path / "both", loaded(tmp_path / "cheap", tmp_path / "full"), 0.9)
    assert names(tmp_path / "both") == ["cheap", "config.json", "full"]
