"""`newsbeam model`: bundles are looked into, checked, imported and exported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from models.bundle import Bundle
from models.errors import BundleError
from models.export.export import ParityError
from models.export.parity import Difference, Parity
from models.locate import PACKAGED
from pipeline import cli
from pipeline.commands import model
from tests.unit.models.conftest import write_bundle

#: A bundle that is no cascade.
SMALL = PACKAGED["ag_news_small"]

PARITY = Parity(
    texts=3,
    longest=20,
    activation="softmax",
    tolerance=1e-4,
    int8_tolerance=0.05,
    fp32=Difference(2e-7, 1e-8, 1.0),
    int8=Difference(0.0123, 0.004, 2 / 3),
)


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(model.app, [str(a) for a in args], standalone_mode=False)


@pytest.fixture
def spark(tmp_path: Path) -> Path:
    """The default model as Spark NLP has it."""
    assets = tmp_path / "spark" / "assets"
    assets.mkdir(parents=True)
    shutil.copyfile(SMALL / "model_quantized.onnx", assets.parent / "model.onnx")
    parts = json.loads((SMALL / "tokenizer.json").read_text())["model"]
    vocabulary = sorted(parts["vocab"], key=parts["vocab"].__getitem__)
    merges = [m if isinstance(m, str) else " ".join(m) for m in parts["merges"]]
    (assets / "vocab.txt").write_text("\n".join(vocabulary))
    (assets / "merges.txt").write_text("\n".join(merges))
    (assets / "labels.txt").write_text("\n".join(Bundle.load().labels))
    return assets.parent


def test_inspect_as_json() -> None:
    values = json.loads(run("inspect", SMALL, "--json").stdout)
    bundle = Bundle.load(SMALL)
    assert values["model"] == bundle.model_id
    assert values["labels"] == list(bundle.labels)
    assert values["max_length"] == 512
    assert values["temperature"] == bundle.temperature
    assert values["problem_type"] == "single_label_classification"
    assert values["case_sensitive"] is True
    assert set(values["inputs"]) == {"input_ids", "attention_mask"}
    assert list(values["outputs"]) == ["logits"]
    assert values["quantized"] is True
    assert values["dynamic_int8"] == bundle.dynamic_int8
    assert values["tokenizer"]["type"] == "BPE"
    assert values["tokenizer"]["vocabulary"] == bundle.tokenizer().get_vocab_size()
    size = (SMALL / "model_quantized.onnx").stat().st_size
    assert values["files"]["model_quantized.onnx"] == size
    assert sum(values["operators"].values()) > 50


def test_inspect() -> None:
    text = run("inspect", f"file://{SMALL}").stdout
    for words in ("World, Sports, Business, Sci/Tech", "512 tokens", "int8", "logits", "MB"):
        assert words in text
    assert re.search(r"^problem type +single_label_classification *$", text, re.MULTILINE)
    assert re.search(r"^case +matters *$", text, re.MULTILINE)


def test_inspect_another_model(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny", config={"problem_type": "multi_label_classification"})
    values = json.loads(run("inspect", folder, "--json").stdout)
    assert values["problem_type"] == "multi_label_classification"
    assert values["case_sensitive"] is False
    assert "does not matter" in run("inspect", folder).stdout


def test_inspect_says_how_long_texts_are_read(tmp_path: Path) -> None:
    says = {"long_text": "average", "max_length": 8, "max_windows": 2}
    for config, reads, words in (
        ({}, (16, "truncate", 16, 1), "the first 16 tokens"),
        ({"max_length": 8}, (16, "truncate", 16, 1), "the first 16 tokens"),
        (says, (8, "average", 8, 2), "up to 2 windows of 8 tokens, averaged"),
        (
            says | {"window_tokens": 5},
            (8, "average", 5, 2),
            "up to 8 tokens, or 2 windows of 5 tokens, averaged",
        ),
    ):
        folder = write_bundle(tmp_path / f"tiny{len(config)}", config=config)
        values = json.loads(run("inspect", folder, "--json").stdout)
        assert values["max_length"] == 16  # what the model takes
        names = ("max_length", "long_text", "window_tokens", "max_windows")
        assert values["reads"] == {**dict(zip(names, reads, strict=True)), "words": words}
        shown = run("inspect", folder).stdout
        assert re.search(rf"^reads +{words}, unless asked otherwise *$", shown, re.MULTILINE)


def test_inspect_one_of_two_files(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "tiny")
    shutil.copyfile(SMALL / "model_quantized.onnx", folder / "model_quantized.onnx")
    assert json.loads(run("inspect", folder / "model.onnx", "--json").stdout)["quantized"] is False


def test_verify() -> None:
    result = run("verify", SMALL)
    assert result.return_value == 0
    assert result.stdout == f"{Bundle.load(SMALL).model_id}: good, 4 labels\n"
    assert json.loads(run("verify", SMALL, "--json").stdout)["ok"] is True


@pytest.mark.parametrize("junk", ["model.onnx", "model_quantized.onnx"])
def test_verify_looks_at_every_file(
    tmp_path: Path, junk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_bundle(tmp_path / "tiny")
    good = write_bundle(tmp_path / "good", dynamic=True) / "model.onnx"
    shutil.copyfile(good, folder / "model_quantized.onnx")
    assert run("verify", folder).return_value == 0
    (folder / junk).write_bytes(b"junk")
    for named in (folder, *folder.glob("*.onnx")):
        assert cli.main(["model", "verify", str(named)]) == 2
        assert f"cannot load {junk}" in capsys.readouterr().err


def test_verify_tries_long_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_bundle(tmp_path / "tiny", config={"max_position_embeddings": 512}, positions=48)
    assert cli.main(["model", "verify", str(folder)]) == 2
    assert "cannot classify a text of 512 tokens" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["verify", "inspect"])
def test_a_broken_bundle(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(shutil.copytree(SMALL, tmp_path / "copy"))
    file = folder / "model_quantized.onnx"
    file.write_bytes(file.read_bytes()[:100_000])
    assert cli.main(["model", command, str(folder)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("newsbeam: model ")
    assert output.err.count("\n") == 1
    assert "model_quantized.onnx" in output.err


def test_neither_torch_nor_onnx_is_needed() -> None:
    """In a process that cannot load them."""
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'onnx', 'onnxscript'): sys.modules[name] = None\n"
        "from pipeline.cli import main\n"
        f"folder = {str(SMALL)!r}\n"
        "assert main(['model', 'verify', folder]) == main(['model', 'inspect', folder]) == 0\n"
        "assert main(['model', 'export', 'org/name', folder + '-new']) == 2\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(model.__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'newsbeam[export]'" in done.stderr
    assert not SMALL.with_name(SMALL.name + "-new").exists()


@pytest.mark.parametrize("beside", [(), ("config.json", "tokenizer.json")])
def test_a_spark_nlp_folder(spark: Path, tmp_path: Path, beside: tuple[str, ...]) -> None:
    for name in beside:
        shutil.copyfile(SMALL / name, spark / name)
    result = run("export", spark, tmp_path / "bundle", "--json")
    assert result.return_value == 0
    assert json.loads(result.stdout)["labels"] == list(Bundle.load().labels)
    assert run("verify", tmp_path / "bundle").return_value == 0


@pytest.mark.parametrize(
    ("options", "variable", "named"),
    [
        (["--no-int8"], "", "--int8/--no-int8"),
        (["--int8"], "", "--int8/--no-int8"),
        (["--revision", "v1"], "", "--revision"),
        (["--texts", "news.txt"], "", "--texts"),
        (["--tolerance", "0.1"], "", "--tolerance"),
        (["--int8_tolerance", "0.1"], "", "--int8_tolerance"),
        ([], "NEWSBEAM_EXPORT_REVISION", "NEWSBEAM_EXPORT_REVISION"),
    ],
)
def test_options_that_mean_nothing_for_spark_nlp(
    spark: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    variable: str,
    named: str,
) -> None:
    if variable:
        monkeypatch.setenv(variable, "v1")
    assert cli.main(["model", "export", str(spark), str(tmp_path / "bundle"), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"newsbeam: {named}: {spark} is a model of Spark NLP")
    assert error.endswith("; leave it out\n")
    assert not (tmp_path / "bundle").exists()


def test_a_folder_that_spark_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "saved" / "metadata").mkdir(parents=True)
    assert cli.main(["model", "export", str(tmp_path / "saved"), str(tmp_path / "bundle")]) == 2
    assert "was saved by Spark, in a form of its own; export" in capsys.readouterr().err


def fake_export(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> dict[str, Any]:
    """Lets `export` report, without torch; returns what it was asked for."""
    asked: dict[str, Any] = {}

    def export(source: str, target: Path, **options: Any) -> tuple[Bundle, Parity]:
        asked.update(options, source=source, target=target)
        if error:
            raise error
        options["say"]("Quantizing")
        return Bundle.load(), PARITY

    monkeypatch.setattr(model, "export_model", export)
    return asked


def test_export(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = fake_export(monkeypatch)
    texts = tmp_path / "texts.txt"
    texts.write_text("one\n\n  \ntwo\n")
    args = ("--no-int8", "--revision", "v1", "--texts", texts)
    limits = ("--tolerance", "0.01", "--int8_tolerance", "0.1")
    result = run("export", "org/name", tmp_path / "new", *args, *limits)
    assert asked.pop("say")
    assert asked == {
        "source": "org/name",
        "target": tmp_path / "new",
        "int8": False,
        "revision": "v1",
        "texts": ["one", "two"],
        "tolerance": 0.01,
        "int8_tolerance": 0.1,
    }
    assert result.stderr == "newsbeam: Quantizing\n"
    for words in ("2.00e-07", "1.23e-02", "66.7%", "fp32", "int8", Bundle.load().model_id):
        assert words in result.stdout


def test_export_as_json(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = fake_export(monkeypatch)
    values = json.loads(run("export", "org/name", tmp_path / "new", "--json").stdout)
    assert asked["int8"] is True
    assert asked["int8_tolerance"] == 0.05
    assert len(asked["texts"]) > 10
    assert values["int8"]["agreement"] == 2 / 3
    assert values["model"] == Bundle.load().model_id


def test_too_large_a_difference(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_export(monkeypatch, ParityError("scores differ; no bundle was made", PARITY))
    assert cli.main(["model", "export", "org/name", str(tmp_path / "new"), "--json"]) == 2
    output = capsys.readouterr()
    assert json.loads(output.out)["tolerance"] == 1e-4
    assert output.err == "newsbeam: scores differ; no bundle was made\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [(None, "cannot be read"), (b"\n \n", "is empty"), (b"\xff\xfe", "is not UTF-8")],
)
def test_texts_that_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: bytes | None, words: str
) -> None:
    fake_export(monkeypatch)
    file = tmp_path / "texts.txt"
    if data is not None:
        file.write_bytes(data)
    result = run("export", "org/name", tmp_path / "new", "--texts", file)
    assert isinstance(result.exception, BundleError)
    assert words in str(result.exception)
