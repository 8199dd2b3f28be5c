"""Folders of Spark NLP become bundles: the same model, whichever way it came."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from models.bundle import Bundle
from models.classifier import TextClassifier
from models.errors import BundleError
from models.export.spark_nlp import import_spark_nlp, is_spark_nlp
from models.scores import ScoreSettings

TEXTS = [
    "Striker scores twice in the second half as the home team wins",
    "It's 7 o'clock:  prices rise 3.5%\n and\tfall… Café 日本 😀",
    "Shares fall as the bank reports lower profit. " * 60,
]


@pytest.fixture
def folder(default_bundle: Bundle, tmp_path: Path) -> Path:
    """The default model as Spark NLP has it."""
    folder = tmp_path / "spark"
    assets = folder / "assets"
    assets.mkdir(parents=True)
    shutil.copyfile(default_bundle.model_file, folder / "roberta.onnx")
    model = json.loads((default_bundle.path / "tokenizer.json").read_text())["model"]
    vocabulary = sorted(model["vocab"], key=model["vocab"].__getitem__)
    (assets / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    (assets / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    (assets / "labels.txt").write_text("\n".join(default_bundle.labels))
    return folder


def test_the_same_scores(folder: Path, default_bundle: Bundle, tmp_path: Path) -> None:
    bundle = import_spark_nlp(folder, tmp_path / "bundle")
    assert bundle.labels == default_bundle.labels
    assert bundle.max_length == default_bundle.max_length
    assert bundle.pad_id == default_bundle.pad_id
    assert bundle.dynamic_int8 == default_bundle.dynamic_int8
    tokenizer = bundle.tokenizer()
    for text in TEXTS:
        assert tokenizer.encode(text).ids == default_bundle.tokenizer().encode(text).ids
    # Such a folder says nothing about a temperature, nor about long texts.
    uncalibrated = TextClassifier(default_bundle, 512, ScoreSettings(temperature=1.0))
    found, wanted = TextClassifier(bundle).predict(TEXTS), uncalibrated.predict(TEXTS)
    assert [p.scores for p in found] == [p.scores for p in wanted]
    assert [p.truncated for p in found] == [False, False, True]
    assert sorted(p.name for p in bundle.path.iterdir()) == [
        "README.md",
        "config.json",
        "model.onnx",
        "tokenizer.json",
    ]


def test_merges_without_a_version(folder: Path, tmp_path: Path) -> None:
    file = folder / "assets" / "merges.txt"
    file.write_text(file.read_text().partition("\n")[2])
    bundle = import_spark_nlp(folder, tmp_path / "bundle")
    assert len(bundle.tokenizer().encode(TEXTS[0], add_special_tokens=False).ids) < 20


def test_what_the_notebook_makes(
    folder: Path, default_bundle: Bundle, tmp_path: Path, classifier: TextClassifier
) -> None:
    """Optimum's export, and the assets that Spark NLP wants beside it."""
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(default_bundle.path / name, folder / name)
    (folder / "roberta.onnx").rename(folder / "model.onnx")
    assert is_spark_nlp(folder)
    bundle = import_spark_nlp(folder, tmp_path / "bundle")
    found, wanted = TextClassifier(bundle).predict(TEXTS), classifier.predict(TEXTS)
    assert [p.category for p in found] == [p.category for p in wanted]
    assert not bundle.multi_label


def test_several_labels(folder: Path, tmp_path: Path) -> None:
    config = {"problem_type": "multi_label_classification", "id2label": {"0": "of no account"}}
    (folder / "config.json").write_text(json.dumps(config))
    assert import_spark_nlp(folder, tmp_path / "bundle").multi_label


@pytest.mark.parametrize("data", ["{", "[]"])
def test_a_config_that_is_none(folder: Path, tmp_path: Path, data: str) -> None:
    (folder / "config.json").write_text(data)
    with pytest.raises(BundleError, match=r"config\.json: cannot be read \(.*\); copy it again"):
        import_spark_nlp(folder, tmp_path / "bundle")


@pytest.mark.parametrize(
    ("files", "spark_nlp"),
    [
        ("roberta.onnx assets/labels.txt assets/vocab.txt", True),
        ("model.onnx assets/labels.txt config.json tokenizer.json", True),
        ("saved_model.pb assets/labels.txt", True),  # TensorFlow: it is told what to do
        ("metadata/part-00000 fields/_SUCCESS roberta_classification_onnx", True),  # saved by Spark
        ("model.onnx assets/logo.png config.json", False),
        ("model.onnx assets/labels.txt config.json model.safetensors", False),
        ("model.onnx assets/labels.txt config.json pytorch_model.bin", False),
        ("model.onnx config.json tokenizer.json", False),
        ("config.json model.safetensors metadata/notes.txt", False),
        ("", False),
    ],
)
def test_which_folders_are_spark_nlps(tmp_path: Path, files: str, spark_nlp: bool) -> None:
    for name in files.split():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert is_spark_nlp(tmp_path) is spark_nlp
    assert not is_spark_nlp(tmp_path / "no")


@pytest.mark.parametrize("name", ["vocab.txt", "merges.txt", "labels.txt"])
def test_a_missing_asset(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / "assets" / name).unlink()
    with pytest.raises(BundleError, match=f"assets/{name} is missing"):
        import_spark_nlp(folder, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_an_asset_that_is_no_text(folder: Path, tmp_path: Path) -> None:
    (folder / "assets" / "vocab.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BundleError, match=r"vocab\.txt: cannot be read as UTF-8"):
        import_spark_nlp(folder, tmp_path / "bundle")


def test_no_model(folder: Path, tmp_path: Path) -> None:
    (folder / "roberta.onnx").rename(folder / "saved_model.pb")
    with pytest.raises(BundleError, match=r"needs one \.onnx file, but has none; .*TensorFlow"):
        import_spark_nlp(folder, tmp_path / "bundle")


def test_a_broken_model(folder: Path, tmp_path: Path) -> None:
    (folder / "roberta.onnx").write_bytes(b"no model")
    with pytest.raises(BundleError, match="ONNX Runtime cannot load it"):
        import_spark_nlp(folder, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_labels_that_do_not_fit(folder: Path, tmp_path: Path) -> None:
    (folder / "assets" / "labels.txt").write_text("World\nSports\n")
    with pytest.raises(BundleError, match="names 2 labels, but the model gives 4 logits"):
        import_spark_nlp(folder, tmp_path / "bundle")


def test_a_vocabulary_of_another_kind(folder: Path, tmp_path: Path) -> None:
    (folder / "assets" / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    with pytest.raises(BundleError, match="has no <pad>"):
        import_spark_nlp(folder, tmp_path / "bundle")


def test_saved_by_spark(tmp_path: Path) -> None:
    (tmp_path / "model" / "metadata").mkdir(parents=True)
    with pytest.raises(BundleError, match="was saved by Spark"):
        import_spark_nlp(tmp_path / "model", tmp_path / "bundle")
