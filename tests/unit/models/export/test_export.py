"""Checkpoints of every family become bundles that give torch's scores."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle
from models.classifier import TextClassifier
from models.errors import BundleError
from models.export import graph
from models.export import parity as parities
from models.export.checkpoint import Checkpoint, load_checkpoint
from models.export.export import ParityError, export
from models.export.parity import INT8_TOLERANCE, Difference, Reference
from models.export.quantize import quantize
from models.operators import read_operators
from models.verify import verify

from .conftest import FAMILIES, LABELS, POSITIONS, Exported, MakeCheckpoint


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family(exported: Callable[[str], Exported], texts: list[str], family: str) -> None:
    source, bundle, parity, _ = exported(family)
    assert bundle.labels == LABELS
    assert bundle.max_length == POSITIONS
    assert parity.longest == POSITIONS  # the last text is longer, and cut as torch's is
    assert parity.fp32.max_difference < 1e-5
    assert parity.fp32.agreement == 1
    assert parity.int8 is not None
    assert 0 < parity.int8.mean_difference <= parity.int8.max_difference < 0.2
    assert parity.int8.mean_difference < INT8_TOLERANCE / 10
    assert json.loads((bundle.path / "parity.json").read_text())["texts"] == len(texts)

    # In int8 too, a text gets the same scores, whoever shares its batch.
    assert bundle.dynamic_int8
    classifier = TextClassifier(bundle)
    alone = [classifier.predict(text).scores for text in texts]
    assert [p.scores for p in classifier.predict(texts)] == alone

    # What it is compared with is what transformers gives.
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    pipe = transformers.AutoModelForSequenceClassification.from_pretrained(source).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    batch = tokenizer(texts[:4], return_tensors="pt", padding=True, truncation=True, max_length=48)
    batch.pop("token_type_ids", None)
    with torch.inference_mode():
        wanted = pipe(**batch).logits.softmax(-1).numpy()
    classifier = TextClassifier.load(bundle.path / "model.onnx")
    found = [[p.scores[label] for label in LABELS] for p in classifier.predict(texts[:4])]
    assert np.abs(np.array(found) - wanted).max() < 1e-5
    assert np.ptp(wanted, axis=0).max() > 0.01  # the texts are not all alike


def test_what_is_made(bert: Exported) -> None:
    source, bundle, _, said = bert
    assert sorted(p.name for p in bundle.path.iterdir()) == [
        "README.md",
        "config.json",
        "model.onnx",
        "model_quantized.onnx",
        "parity.json",
        "tokenizer.json",
    ]
    assert bundle.name == "news"
    assert bundle.model_file.name == "model_quantized.onnx"
    assert bundle.dynamic_int8
    assert [p.name for p in bundle.path.parent.iterdir()] == ["news"]  # nothing else is left
    assert len(said) == 4
    card = (bundle.path / "README.md").read_text()
    assert "`Business`" in card
    assert f"Of a text it reads the first {POSITIONS} tokens, unless" in card
    assert "model_quantized.onnx" in card
    for file in ("README.md", "config.json", "parity.json"):
        assert str(source.parent) not in (bundle.path / file).read_text()

    plain, quantized = (
        read_operators(bundle.path / name).counts for name in ("model.onnx", "model_quantized.onnx")
    )
    assert "MatMulInteger" not in plain
    # Six products a layer; those of two activations, and of one vector, stay.
    assert quantized["MatMulInteger"] == 6 * 2
    sizes = [(bundle.path / n).stat().st_size for n in ("model_quantized.onnx", "model.onnx")]
    assert sizes[0] < sizes[1]


@pytest.mark.usefixtures("ready_graph")
def test_without_int8(bert: Exported, tmp_path: Path, texts: list[str]) -> None:
    bundle, parity = export(str(bert.source), tmp_path / "bundle", texts=texts, int8=False)
    assert parity.int8 is None
    assert bundle.model_file.name == "model.onnx"
    assert "model_quantized" not in (bundle.path / "README.md").read_text()


def test_a_multi_label_model_whose_weights_lie_beside_the_graph(
    make_checkpoint: MakeCheckpoint,
    tmp_path: Path,
    texts: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(graph, "INLINE_BYTES", 1000)
    monkeypatch.setattr("models.export.quantize.INLINE_BYTES", 1000)
    source = make_checkpoint("distilroberta", problem_type="multi_label_classification")
    bundle, parity = export(str(source), tmp_path / "bundle", texts=texts)
    assert parity.activation == "sigmoid"
    assert parity.fp32.max_difference < 1e-5
    config = json.loads((bundle.path / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    names = {p.name for p in bundle.path.iterdir()}
    assert {"model.onnx.data", "model_quantized.onnx.data"} <= names
    verify(bundle)


@pytest.mark.usefixtures("ready_graph")
def test_scores_that_differ_make_no_bundle(
    bert: Exported, tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(self: Checkpoint, rows: Any) -> np.ndarray:
        found = honest(self, rows)
        found[3, 0] += 0.5
        return found

    honest = Checkpoint.logits
    monkeypatch.setattr(Checkpoint, "logits", spoiled)
    words = r"differ from torch's by .*, and no bundle was made; raise --tolerance"
    with pytest.raises(ParityError, match=words) as e:
        export(str(bert.source), tmp_path / "bundle", texts=texts)
    assert isinstance(e.value.parity.fp32, Difference)
    assert e.value.parity.fp32.max_difference > 0.01
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("ready_graph")
def test_int8_that_differs_makes_no_bundle(
    bert: Exported, tmp_path: Path, texts: list[str]
) -> None:
    assert bert.parity.int8
    limit = bert.parity.int8.mean_difference * 0.9
    words = r"model_quantized\.onnx differ .* on average, .* --no-int8, or raise --int8_tolerance"
    with pytest.raises(ParityError, match=words) as e:
        export(str(bert.source), tmp_path / "bundle", texts=texts, int8_tolerance=limit)
    assert e.value.parity.int8
    assert e.value.parity.int8.mean_difference == pytest.approx(limit / 0.9, rel=0.01)
    assert e.value.parity.int8_tolerance == limit
    assert not list(tmp_path.iterdir())


def test_int8_that_is_broken(
    bert: Exported, tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the default is for: weights whose scale is wrong."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(bert.bundle.path / "model_quantized.onnx")
    for tensor in model.graph.initializer:
        if tensor.name.endswith("_scale") and tensor.dims:
            scales = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.flip(scales) * 3, tensor.name))
    onnx.save(model, tmp_path / "model.onnx")
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(bert.bundle.path / name, tmp_path / name)
    reference = Reference(load_checkpoint(str(bert.source)), bert.bundle, texts)
    assert reference.compare(Bundle.load(tmp_path)).mean_difference > INT8_TOLERANCE


def test_the_mean_is_of_the_label_that_differs_most(
    bert: Exported, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = Reference(load_checkpoint(str(bert.source)), bert.bundle, texts)
    labels = 50
    certain = np.zeros((len(texts), labels))
    certain[:, 0] = 1
    reference.scores = np.roll(certain, 1, axis=1)
    monkeypatch.setattr(parities, "_scores", lambda logits, activation: certain)
    found = reference.compare(bert.bundle)
    assert found == Difference(max_difference=1, mean_difference=1, agreement=0)


def test_another_tokenizer_is_noticed(
    bert: Exported, make_checkpoint: MakeCheckpoint, tmp_path: Path, texts: list[str]
) -> None:
    folder = shutil.copytree(bert.bundle.path, tmp_path / "bundle")
    other = make_checkpoint("roberta")
    (folder / "tokenizer.json").write_bytes((other / "tokenizer.json").read_bytes())
    with pytest.raises(BundleError, match="makes other tokens"):
        Reference(load_checkpoint(str(bert.source)), Bundle.load(folder), texts)


def test_a_model_without_a_classifier(make_checkpoint: MakeCheckpoint) -> None:
    source = make_checkpoint("bert", kind="ForMaskedLM")
    with pytest.raises(BundleError, match=r"has no weights for .*it is no sequence classifier"):
        load_checkpoint(str(source))


def test_a_regression(make_checkpoint: MakeCheckpoint) -> None:
    source = make_checkpoint("bert", id2label={0: "LABEL_0"})
    with pytest.raises(BundleError, match="gives one number"):
        load_checkpoint(str(source))


def test_a_broken_checkpoint(bert: Exported, tmp_path: Path, torch: Any) -> None:
    (tmp_path / "config.json").write_bytes((bert.source / "config.json").read_bytes())
    with pytest.raises(BundleError, match="transformers cannot load its Model") as e:
        load_checkpoint(str(tmp_path))
    assert "\n" not in str(e.value)


def test_a_folder_without_a_config(torch: Any, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"has no config\.json; name a Hugging Face"):
        load_checkpoint(str(tmp_path))


def test_a_folder_has_no_revisions(bert: Exported) -> None:
    with pytest.raises(BundleError, match=r"--revision 'v1': .*leave it out"):
        load_checkpoint(str(bert.source), "v1")


def copy_without(checkpoint: Path, target: Path, pattern: str = "", **config: Any) -> Path:
    """A copy of a checkpoint without the files of a pattern, and with other settings."""
    folder = Path(shutil.copytree(checkpoint, target, ignore=shutil.ignore_patterns(pattern)))
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))
    return folder


@pytest.mark.parametrize("family", ["bert", "deberta-v3"])
def test_a_folder_without_a_tokenizer(
    make_checkpoint: MakeCheckpoint, tmp_path: Path, family: str
) -> None:
    source = copy_without(make_checkpoint(family), tmp_path / "copy", "tokenizer*")
    with pytest.raises(BundleError, match="its tokenizer knows no words; copy"):
        load_checkpoint(str(source))


def test_code_in_a_folder_is_not_run(
    bert: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = {"AutoConfig": "mine.Config"}
    source = copy_without(bert.source, tmp_path / "copy", model_type="mine", auto_map=classes)
    (source / "mine.py").write_text("print('run')\n")
    with pytest.raises(BundleError, match="cannot load its Config"):
        load_checkpoint(str(source))
    assert capsys.readouterr().out == ""  # it does not ask, either


def test_the_temperature_stays(bert: Exported, tmp_path: Path) -> None:
    source = copy_without(bert.source, tmp_path / "copy", temperature=1.7)
    load_checkpoint(str(source)).write_settings(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["temperature"] == 1.7


@pytest.mark.parametrize(
    "says",
    [
        {"long_text": "average", "max_length": 8, "max_windows": 2, "temperature": 1.7},
        {"long_text": "truncate", "max_length": 20},
    ],
)
def test_how_long_texts_are_read_stays(
    bert: Exported, tmp_path: Path, says: dict[str, Any]
) -> None:
    source = copy_without(bert.source, tmp_path / "copy", **says)
    load_checkpoint(str(source)).write_settings(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert {name: written[name] for name in says} == says


def test_a_length_of_text_generation_is_nobodys_business(bert: Exported, tmp_path: Path) -> None:
    source = copy_without(bert.source, tmp_path / "copy", max_length=20)
    assert load_checkpoint(str(source)).ours == {}


def test_rows_that_torch_cannot_classify(bert: Exported) -> None:
    with pytest.raises(
        BundleError, match=r"cannot classify a text of 1 tokens \(IndexError: .*\);"
    ):
        load_checkpoint(str(bert.source)).logits([[1_000_000]])


@pytest.mark.usefixtures("ready_graph")
def test_labels_that_no_bundle_may_have(bert: Exported, tmp_path: Path, texts: list[str]) -> None:
    same = {"0": "News", "1": "News", "2": "Sports"}
    source = copy_without(bert.source, tmp_path / "copy", id2label=same)
    with pytest.raises(BundleError, match=r"the labels in config\.json are") as e:
        export(str(source), tmp_path / "bundle", texts=texts)
    assert str(source) in str(e.value)  # the folder that it was made in is gone
    assert str(tmp_path / "bundle") not in str(e.value)
    assert [p.name for p in tmp_path.iterdir()] == ["copy"]


def test_a_graph_that_cannot_be_quantized(torch: Any, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(BundleError, match=r"cannot be quantized \(.*\); export it with --no-int8"):
        quantize(tmp_path / "model.onnx", tmp_path / "model_quantized.onnx")


@pytest.mark.parametrize("source", ["./no", "/no/such/folder", "a/b/c", "~/no"])
def test_no_such_folder(torch: Any, source: str) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        load_checkpoint(source)


@pytest.mark.parametrize("name", ["torch", "transformers"])
def test_a_missing_package(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)  # anything that can be imported
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BundleError, match=rf"{name}.*pip install 'newsbeam\[export\]'"):
        export("org/name", tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["file", "full"])
def test_a_target_that_is_taken(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    if kind == "file":
        target.touch()
    else:
        target.mkdir()
        (target / "mine").touch()
    with pytest.raises(BundleError, match=r"name a new folder"):
        export("org/name", target)
    assert target.exists()
