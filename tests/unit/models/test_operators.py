"""What an ONNX file computes."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.bundle import Bundle
from models.operators import read_operators

from .conftest import MakeBundle


def test_a_tiny_model(make_bundle: MakeBundle) -> None:
    found = read_operators(make_bundle(token_types=True) / "model.onnx")
    once = ("Add", "Gather", "Cast", "Unsqueeze", "Mul", "ReduceSum", "Identity")
    assert found.counts == dict.fromkeys(once, 1)
    assert found.opsets == {"ai.onnx": 11}
    assert not found.quantized


def test_a_quantized_model(make_bundle: MakeBundle) -> None:
    found = read_operators(make_bundle(dynamic=True) / "model.onnx")
    assert found.counts["DynamicQuantizeLinear"] == 1
    assert found.quantized


def test_the_default_model(default_bundle: Bundle) -> None:
    found = read_operators(default_bundle.model_file)
    assert found.quantized
    assert found.opsets["ai.onnx"] >= 17
    assert sum(found.counts.values()) > 50
    counts = list(found.counts.values())
    assert counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("keep", [1, 20, 300])
def test_a_file_cut_off(make_bundle: MakeBundle, keep: int) -> None:
    file = make_bundle() / "model.onnx"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"cut off|no graph"):
        read_operators(file)


@pytest.mark.parametrize("data", [b"PK\x03\x04 something else", b"version https://git-lfs"])
def test_another_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(ValueError, match=r"no ONNX file|no graph"):
        read_operators(tmp_path / "file")
