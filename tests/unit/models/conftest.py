"""Model bundles for tests: the default one, and tiny ones made on the spot.

A tiny model is an embedding of vocabulary x labels; the logits of a row are the sum of its tokens'
embeddings. So every result is known, padding that is not masked out shows, and a token whose
embedding is not finite makes a poison row. It is written as ONNX (protobuf) by hand, since the onnx
package is no dependency.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants

from models import fetch
from models.bundle import Bundle
from models.classifier import TextClassifier
from models.errors import BundleError
from models.locate import PACKAGED

from .stand_ins import Hub

#: A bundle that is no cascade.
SMALL = PACKAGED["ag_news_small"]

#: Tokens of the tiny tokenizer: padding, begin, end, unknown, then words.
WORDS = ("<pad>", "<s>", "</s>", "<unk>", "ball", "goal", "stock", "bank", "poison", "infinite")
LABELS = ("Sports", "Business")
FLOAT, INT64 = 1, 7


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _attribute(name: str, value: int | list[int]) -> bytes:
    if isinstance(value, int):
        return _field(1, name) + _field(3, value) + _field(20, 2)
    return _field(1, name) + b"".join(_field(8, v) for v in value) + _field(20, 7)


def _node(op: str, inputs: list[str], outputs: list[str], **attributes: int | list[int]) -> bytes:
    return (
        b"".join(_field(1, name) for name in inputs)
        + b"".join(_field(2, name) for name in outputs)
        + _field(3, f"node DynamicQuantizeLinear {outputs[0]}")  # a name proves nothing
        + _field(4, op)
        + b"".join(_field(5, _attribute(k, v)) for k, v in attributes.items())
    )


def _value(name: str, kind: int, shape: list[str | int]) -> bytes:
    dims = [_field(1, _field(1, d) if isinstance(d, int) else _field(2, d)) for d in shape]
    tensor = _field(1, kind) + _field(2, b"".join(dims))
    return _field(1, name) + _field(2, _field(1, tensor))


def _tensor(name: str, array: np.ndarray) -> bytes:
    kind, values = (FLOAT, "<f4") if array.dtype.kind == "f" else (INT64, "<i8")
    dims = b"".join(_field(1, int(d)) for d in array.shape)
    return dims + _field(2, kind) + _field(8, name) + _field(9, array.astype(values).tobytes())


def onnx_model(
    embedding: np.ndarray,
    *,
    width: str | int = "labels",
    token_types: bool = False,
    dynamic: bool = False,
    attention: bool = False,
    masked: bool = True,
    batch: str | int = "b",
    positions: int | None = None,
    input_name: str = "input_ids",
    output_name: str = "logits",
) -> bytes:
    """The tiny model as the bytes of an ONNX file; with attention, tokens look at each other.

    Where `masked` is false, padding counts; `batch` is how many rows it takes; rows longer than
    `positions`, if there are any, fail.
    """
    nodes = []
    constants = [("embedding", embedding)]
    inputs = [input_name, "attention_mask"]
    ids = input_name
    if token_types:
        inputs.append("token_type_ids")
        nodes.append(_node("Add", [input_name, "token_type_ids"], ["ids"]))
        ids = "ids"
    nodes += [
        _node("Gather", ["embedding", ids], ["tokens"], axis=0),
        _node("Cast", ["attention_mask"], ["mask"], to=FLOAT),
        _node("Unsqueeze", ["mask"], ["column"], axes=[2]),
    ]
    hidden = "tokens"
    if attention:
        hidden = "seen"
        constants += [("one", np.ones(1)), ("far", np.full(1, 1e9))]
        nodes += [
            _node("Transpose", ["tokens"], ["keys"], perm=[0, 2, 1]),
            _node("MatMul", ["tokens", "keys"], ["alike"]),
            _node("Sub", ["mask", "one"], ["outside"]),
            _node("Mul", ["outside", "far"], ["penalty"]),
            _node("Unsqueeze", ["penalty"], ["penalties"], axes=[1]),
            _node("Add", ["alike", "penalties"], ["weights"]),
            _node("Softmax", ["weights"], ["shares"], axis=2),
            _node("MatMul", ["shares", "tokens"], ["seen"]),
        ]
    if positions is not None:
        constants += [
            ("places", np.zeros((positions + 1, embedding.shape[1]))),
            ("axis", np.array(1)),
        ]
        nodes += [
            _node("CumSum", ["attention_mask", "axis"], ["numbers"]),
            _node("Gather", ["places", "numbers"], ["place"], axis=0),
            _node("Add", [hidden, "place"], ["placed"]),
        ]
        hidden = "placed"
    counted = "masked" if masked else hidden
    nodes += [
        _node("Mul", [hidden, "column"], ["masked"]),
        _node("ReduceSum", [counted], ["sum"], axes=[1], keepdims=0),
    ]
    last = "sum"
    if dynamic:  # there and back again: the ranges are those of the whole batch
        nodes.append(_node("DynamicQuantizeLinear", ["sum"], ["q", "scale", "zero"]))
        nodes.append(_node("DequantizeLinear", ["q", "scale", "zero"], ["rounded"]))
        last = "rounded"
    nodes.append(_node("Identity", [last], [output_name]))
    graph = (
        b"".join(_field(1, node) for node in nodes)
        + _field(2, "tiny")
        + b"".join(_field(5, _tensor(name, array)) for name, array in constants)
        + b"".join(_field(11, _value(name, INT64, [batch, "s"])) for name in inputs)
        + _field(12, _value(output_name, FLOAT, [batch, width]))
    )
    return _field(1, 6) + _field(7, graph) + _field(8, _field(2, 11))


def tiny_embedding(labels: int = len(LABELS)) -> np.ndarray:
    """An embedding in which balls and goals are sports, and stocks and banks business."""
    table = np.random.default_rng(7).normal(0, 0.1, (len(WORDS), labels))
    table[WORDS.index("<pad>")] = 100  # shows where padding is not masked
    table[[4, 5], 0] += 3
    table[[6, 7], 1] += 3
    table[WORDS.index("poison")] = np.nan
    table[WORDS.index("infinite")] = np.inf
    return table.astype(np.float32)


def tokenizer_json() -> dict[str, Any]:
    """A tokenizer that splits at spaces, with `<s>` and `</s>` around."""
    return {
        "version": "1.0",
        "truncation": {
            "direction": "Right",
            "max_length": 4,
            "strategy": "LongestFirst",
            "stride": 0,
        },
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "RobertaProcessing",
            "sep": ["</s>", 2],
            "cls": ["<s>", 1],
            "trim_offsets": True,
            "add_prefix_space": False,
        },
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {word: i for i, word in enumerate(WORDS)},
            "unk_token": "<unk>",
        },
    }


def tiny_config() -> dict[str, Any]:
    """The configuration of the tiny model."""
    return {
        "model_type": "bert",
        "vocab_size": len(WORDS),
        "pad_token_id": 0,
        "max_position_embeddings": 16,
        "id2label": {str(i): label for i, label in enumerate(LABELS)},
    }


def write_bundle(folder: Path, config: dict[str, Any] | None = None, **model: Any) -> Path:
    """Makes a tiny bundle; `config` overrides settings, the rest goes to the model."""
    folder.mkdir()
    embedding = model.pop("embedding", tiny_embedding())
    (folder / "model.onnx").write_bytes(onnx_model(embedding, **model))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    (folder / "config.json").write_text(json.dumps(tiny_config() | (config or {})))
    return folder


MakeBundle = Callable[..., Path]


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Makes the folder of a tiny bundle: see `write_bundle`."""

    def make(name: str = "tiny", config: dict[str, Any] | None = None, **model: Any) -> Path:
        return write_bundle(tmp_path / name, config, **model)

    return make


@pytest.fixture
def hub_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Hub]]:
    """Starts a stand-in of the hub, and an empty cache, for a folder that holds `news/tiny`."""
    with contextlib.ExitStack() as stack:

        def start(folder: Path) -> Hub:
            hub = Hub(folder)
            stack.enter_context(hub.running())
            monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
            return hub

        yield start


@pytest.fixture
def embedding() -> np.ndarray:
    """The embedding of the tiny model, to compute what it must give."""
    return tiny_embedding()


@pytest.fixture
def default_copy(tmp_path: Path) -> Path:
    """A copy of the default bundle, to be broken."""
    return Path(shutil.copytree(SMALL, tmp_path / "copy"))


@pytest.fixture(scope="session")
def default_bundle() -> Bundle:
    """The default bundle."""
    return Bundle.load("ag_news_small")


@pytest.fixture(scope="session")
def classifier() -> TextClassifier:
    """The default model, loaded once."""
    return TextClassifier.load()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing remembered."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NEWSBEAM_CACHE", str(folder))
    monkeypatch.setattr(fetch, "_found", {})
    return folder


def message_of(check: Callable[[], Any]) -> str:
    with pytest.raises(BundleError) as caught:
        check()
    message = str(caught.value)
    assert "\n" not in message
    assert ";" in message  # what is wrong; what to do
    return message


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())
