"""Checkpoints on the hub become bundles as folders do; what is wrong there is one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.errors import BundleError
from models.export.export import export
from tests.unit.models.stand_ins import Hub

from .conftest import Exported


@pytest.fixture
def hub(bert: Exported, hub_of: Callable[[Path], Hub], tmp_path: Path) -> Hub:
    """The stand-in, with the BERT at `news/tiny`."""
    folder = Path(shutil.copytree(bert.source, tmp_path / "repository"))
    for name in ("pytorch_model.bin", "tf_model.h5", "onnx/model.onnx", "openvino/model.bin"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"the same for others")
    return hub_of(folder)


@pytest.mark.usefixtures("ready_graph")
@pytest.mark.parametrize(
    ("source", "revision"),
    [
        ("news/tiny", None),
        ("news/tiny", "main"),
        ("hf://news/tiny", None),
        ("hf://news/tiny@main", None),
    ],
)
def test_a_checkpoint(
    hub: Hub, bert: Exported, tmp_path: Path, texts: list[str], source: str, revision: str | None
) -> None:
    bundle, parity = export(source, tmp_path / "bundle", revision=revision, texts=texts)
    assert bundle.hash == bert.bundle.hash
    assert parity.fp32.max_difference < 1e-6
    assert f"made of `{source}`" in (bundle.path / "README.md").read_text()
    # Nothing that is not needed, and all of one commit, whoever pushes meanwhile.
    names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(hub.downloads) == names


@pytest.mark.usefixtures("ready_graph")
def test_weights_as_they_were_before_safetensors(
    hub: Hub, tmp_path: Path, texts: list[str], torch: Any
) -> None:
    from safetensors.torch import load_file

    file = hub.folder / "model.safetensors"
    torch.save(load_file(file), hub.folder / "pytorch_model.bin")
    file.unlink()
    _, parity = export("news/tiny", tmp_path / "bundle", texts=texts)
    assert parity.fp32.max_difference < 1e-6


@pytest.mark.usefixtures("ready_graph")
def test_without_connection_the_cache_does(
    hub: Hub, tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = export("news/tiny", tmp_path / "first", texts=texts)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert export("news/tiny", tmp_path / "second", texts=texts)[0].hash == first.hash


@pytest.mark.parametrize(
    ("source", "revision", "words"),
    [
        ("news/tiny", "v9", "the hub knows no revision 'v9' of it; name a branch"),
        ("hf://news/tiny@v9", None, "the hub knows no revision 'v9' of it; name a branch"),
        ("news/other", None, "the hub knows no such model; check the name"),
        ("hf://news/other", None, "the hub knows no such model; check the name"),
    ],
)
def test_what_the_hub_does_not_have(
    hub: Hub, tmp_path: Path, source: str, revision: str | None, words: str
) -> None:
    with pytest.raises(BundleError, match=rf"^model '{source}': {words}") as e:
        export(source, tmp_path / "bundle", revision=revision)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "bundle").exists()


def test_no_checkpoint(hub: Hub, tmp_path: Path) -> None:
    (hub.folder / "config.json").unlink()
    with pytest.raises(BundleError, match=r"^model 'news/tiny': has no config\.json; name a"):
        export("news/tiny", tmp_path / "bundle")


@pytest.mark.parametrize("source", ["news/tiny", "hf://news/tiny"])
def test_without_connection(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(
        BundleError, match=rf"^model '{source}': the hub cannot be reached, .*HF_ENDPOINT"
    ):
        export(source, tmp_path / "bundle")
