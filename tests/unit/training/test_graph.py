"""The hand-written graph gives what torch gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

for _needed in ("torch", "transformers", "onnx"):
    pytest.importorskip(_needed, reason="training needs newsbeam[train]")

import torch
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from transformers import RobertaForSequenceClassification

from training import calibrate, data, export, graph, scores, smooth

from .conftest import TEXTS


@pytest.fixture(scope="module")
def tokens(checkpoint: Path) -> data.Tokens:
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    return data.tokenize(data.Articles(TEXTS, [2, 1, 3, 0]), tokenizer, 64)


@pytest.fixture(scope="module")
def wanted(checkpoint: Path, tokens: data.Tokens) -> np.ndarray:
    model = RobertaForSequenceClassification.from_pretrained(checkpoint).eval()
    ids = torch.from_numpy(data.pad(tokens, np.arange(4), scores.PAD))
    with torch.inference_mode():
        return model(input_ids=ids, attention_mask=(ids != scores.PAD).long()).logits.numpy()


def run(checkpoint: Path, ids: np.ndarray, quantized: bool, **more: Any) -> np.ndarray:
    weights = load_file(checkpoint / "model.safetensors")
    config = json.loads((checkpoint / "config.json").read_text())
    made = graph.build(weights, config, quantized, **more).SerializeToString()
    feed = {"input_ids": ids, "attention_mask": (ids != scores.PAD).astype(np.int64)}
    return export.session(made).run(["logits"], feed)[0]


def test_float_graph_equals_torch_in_a_padded_batch(checkpoint, tokens, wanted):
    ids = data.pad(tokens, np.arange(4), scores.PAD)
    assert (ids == scores.PAD).any()
    np.testing.assert_allclose(run(checkpoint, ids, False), wanted, atol=1e-5)


def test_float_graph_equals_torch_row_by_row(checkpoint, tokens, wanted):
    for row in range(4):
        found = run(checkpoint, tokens.row(row)[None].astype(np.int64), False)
        np.testing.assert_allclose(found[0], wanted[row], atol=1e-5)


def test_int8_graph_is_close_to_torch(checkpoint, tokens, wanted):
    ids = data.pad(tokens, np.arange(4), scores.PAD)
    found = run(checkpoint, ids, True)
    assert np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()
    assert not np.array_equal(found, wanted)


def test_smoothing_helps_int8_where_a_channel_reaches_far(checkpoint, tokens, tmp_path):
    """As in real models: one channel of an input is large, and its weights are small."""
    weights = load_file(checkpoint / "model.safetensors")
    layer = "roberta.encoder.layer.0"
    weights[f"{layer}.attention.output.LayerNorm.weight"][3] *= 100
    for name in ("intermediate.dense", "output.dense"):
        weights[f"{layer}.{name}.weight"] *= 0.2
    weights[f"{layer}.intermediate.dense.weight"][:, 3] /= 100
    weights[f"{layer}.output.LayerNorm.weight"][3] = 0.01
    for file in ("config.json", "tokenizer.json"):
        shutil.copyfile(checkpoint / file, tmp_path / file)
    save_file(weights, tmp_path / "model.safetensors")
    ids = data.pad(tokens, np.arange(4), scores.PAD)
    reaches = smooth.reaches(tmp_path, tokens)
    assert reaches[f"{layer}.intermediate.dense"].argmax() == 3
    exact = run(tmp_path, ids, False)
    rough = np.abs(run(tmp_path, ids, True) - exact).mean()
    smoothed = np.abs(run(tmp_path, ids, True, reaches=reaches) - exact).mean()
    assert smoothed < 0.7 * rough


def test_sharpened_logits(checkpoint, tokens):
    ids = data.pad(tokens, np.arange(4), scores.PAD)
    wanted = calibrate.sharpen(run(checkpoint, ids, False), 0.3)
    np.testing.assert_allclose(run(checkpoint, ids, False, power=0.3), wanted, rtol=1e-4)


def test_fast_forward_equals_the_models_own(checkpoint, tokens, wanted):
    model = RobertaForSequenceClassification.from_pretrained(checkpoint).eval()
    ids = torch.from_numpy(data.pad(tokens, np.arange(4), scores.PAD))
    with torch.inference_mode():
        found = model.classifier(scores.hidden_states(model, ids)[-1]).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_columns_are_quantized_to_half_a_step():
    weight = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    integers, scale = graph.quantize_columns(weight)
    assert integers.dtype == np.int8
    assert np.all(np.abs(integers * scale - weight) <= scale / 2 + 1e-7)
