"""The bundle: what is read, and every fault as one clear line."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle import Bundle
from models.classifier import TextClassifier
from models.errors import BundleError
from models.locate import PACKAGED, resolve
from models.verify import verify
from transforms.classify_news import ClassifyNews
from transforms.errors import ConfigurationError

from .conftest import tiny_embedding


def message_of(check: Callable[[], Any], folder: Path | None = None) -> str:
    with pytest.raises(BundleError) as caught:
        check()
    message = str(caught.value)
    assert "\n" not in message
    if folder is not None:
        assert str(folder) in message  # the value that was given
    assert ";" in message  # what is wrong; what to do
    return message


def test_the_default_bundle(default_bundle: Bundle) -> None:
    assert default_bundle.path == PACKAGED["ag_news_small"]
    assert default_bundle.labels == ("World", "Sports", "Business", "Sci/Tech")
    assert default_bundle.max_length == 512
    assert default_bundle.pad_id == 1
    assert default_bundle.model_file.name == "model_quantized.onnx"
    assert default_bundle.dynamic_int8
    name, _, digits = default_bundle.model_id.partition("@")
    assert name == "ag_news_small"
    assert len(digits) == 8
    assert int(digits, 16) >= 0
    verify(default_bundle)


@pytest.mark.parametrize("name", PACKAGED)
def test_the_packaged_bundles_have_names(name: str, tmp_path: Path, monkeypatch) -> None:
    bundle = Bundle.load(name)
    assert bundle.name == name
    assert bundle.labels == ("World", "Sports", "Business", "Sci/Tech")
    verify(bundle)
    # A folder of the user's comes first.
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert resolve(name) == tmp_path / name


def test_it_is_frozen_and_pickles(default_bundle: Bundle) -> None:
    assert pickle.loads(pickle.dumps(default_bundle)) == default_bundle
    with pytest.raises(dataclasses.FrozenInstanceError):
        default_bundle.name = "other"  # type: ignore[misc]


def test_a_tiny_bundle(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    bundle = Bundle.load(str(folder))
    assert bundle.labels == ("Sports", "Business")
    assert bundle.max_length == 16
    assert not bundle.dynamic_int8
    assert bundle.tokenizer().truncation is None  # though the file says so
    verify(bundle)


def test_the_quantized_model_comes_first(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    (folder / "model_quantized.onnx").write_bytes((folder / "model.onnx").read_bytes())
    assert Bundle.load(folder).model_file.name == "model_quantized.onnx"


def test_an_onnx_file_of_a_bundle(
    make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_bundle()
    (folder / "model_quantized.onnx").write_bytes(
        (make_bundle("int8", dynamic=True) / "model.onnx").read_bytes()
    )
    quantized, plain = Bundle.load(folder), Bundle.load(folder / "model.onnx")
    assert plain.model_file.name == "model.onnx"
    assert (plain.path, plain.name) == (quantized.path, quantized.name)
    assert not plain.dynamic_int8
    assert plain.model_id != quantized.model_id  # a record tells which made it
    assert Bundle.load(folder / "model_quantized.onnx") == quantized
    monkeypatch.chdir(folder)
    assert Bundle.load("model.onnx") == Bundle.load(f"file://{folder}/model.onnx") == plain
    assert pickle.loads(pickle.dumps(plain)) == plain
    other = folder / "other.onnx"
    assert "no such folder" in message_of(lambda: Bundle.load(other), folder)


def test_a_model_in_the_folder_onnx(
    make_bundle: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    flat = make_bundle("flat")
    (flat / "model.onnx").rename(flat / "model_int8.onnx")
    folder = make_bundle()
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx" / "model_int8.onnx")
    bundle = Bundle.load(folder)
    assert (bundle.path, bundle.name) == (folder, "tiny")
    assert bundle.model_file == folder / "onnx" / "model_int8.onnx"
    assert bundle.hash == Bundle.load(flat).hash  # as it is fetched from the hub
    verify(bundle, thorough=True)
    assert Bundle.load(folder / "onnx") == bundle
    assert Bundle.load(folder / "onnx" / "model_int8.onnx") == bundle
    assert not caplog.messages
    caplog.set_level("INFO", logger="newsbeam")
    content = bundle.model_file.read_bytes()
    (folder / "onnx" / "model.onnx").write_bytes(content)
    assert Bundle.load(folder).model_file == bundle.model_file
    assert caplog.messages == [
        "model tiny: of onnx/model_int8.onnx, onnx/model.onnx the first is used"
    ]
    (folder / "onnx" / "model_quantized.onnx").write_bytes(content)
    assert Bundle.load(folder).model_file.name == "model_quantized.onnx"
    assert [f.name for f in Bundle.load(folder).model_files()] == [
        "model_quantized.onnx",
        "model_int8.onnx",
        "model.onnx",
    ]


def test_onnx_files_of_other_names(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    (folder / "model.onnx").rename(folder / "model_q4.onnx")
    message = message_of(lambda: Bundle.load(folder), folder)
    assert "its ONNX files are model_q4.onnx" in message
    assert f"`--model {folder}/model_q4.onnx`" in message
    assert Bundle.load(folder / "model_q4.onnx").model_file.name == "model_q4.onnx"


def test_one_label_that_may_hold_or_not(make_bundle: Callable[..., Path]) -> None:
    config = {"id2label": {"0": "news"}, "problem_type": "multi_label_classification"}
    folder = make_bundle(config=config, embedding=tiny_embedding()[:, :1])
    verify(Bundle.load(folder), thorough=True)
    classifier = TextClassifier.load(folder)
    likely, unlikely = classifier.predict(["ball", "bank"])
    assert 0 < unlikely.score < likely.score < 1
    with pytest.raises(ValueError, match="'softmax': the one label of tiny would always score 1"):
        TextClassifier.load(folder, activation="softmax")
    with pytest.raises(ConfigurationError, match="would always score 1; choose sigmoid"):
        ClassifyNews(folder, activation="softmax")


def test_one_logit_for_two_labels(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle(embedding=tiny_embedding()[:, :1], width=1)
    with pytest.raises(BundleError, match="the model gives one logit: a number, or yes and no"):
        verify(Bundle.load(folder))


def test_an_onnx_file_that_is_a_link(make_bundle: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_bundle()
    (folder / "model.onnx").rename(tmp_path / "blob")  # as in the cache of the hub
    (folder / "model.onnx").symlink_to(tmp_path / "blob")
    assert Bundle.load(folder / "model.onnx") == Bundle.load(folder)


def test_dynamic_ranges_are_found_by_operator(make_bundle: Callable[..., Path]) -> None:
    # The names of all nodes of a tiny model hold DynamicQuantizeLinear: they don't count.
    assert not Bundle.load(make_bundle("static")).dynamic_int8
    assert Bundle.load(make_bundle("dynamic", dynamic=True)).dynamic_int8


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_the_hash_is_over_all_that_makes_a_score(
    make_bundle: Callable[..., Path], name: str
) -> None:
    folder = make_bundle()
    before = Bundle.load(folder).hash
    assert Bundle.load(folder).hash == before
    file = folder / name
    data = file.read_bytes()
    if name == "model.onnx":
        file.write_bytes(data.replace(b"tiny", b"TINY"))
    else:
        file.write_bytes(data + b"\n")
    assert Bundle.load(folder).hash != before


def test_the_hash_covers_external_weights(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    before = Bundle.load(folder).hash
    (folder / "model.onnx_data").write_bytes(b"weights")
    assert Bundle.load(folder).hash != before


@pytest.mark.parametrize(
    ("config", "max_length", "pad_id"),
    [
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512, 1),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1}, 512, 1),
        ({"model_type": "roberta", "pad_token_id": None}, 14, 1),
        ({"model_type": "bert", "pad_token_id": None}, 16, 0),
        ({"model_type": "distilbert", "max_position_embeddings": 512}, 512, 0),
    ],
)
def test_positions(
    make_bundle: Callable[..., Path], config: dict[str, Any], max_length: int, pad_id: int
) -> None:
    bundle = Bundle.load(make_bundle(config=config))
    assert (bundle.max_length, bundle.pad_id) == (max_length, pad_id)


@pytest.mark.parametrize(
    ("config", "temperature", "multi_label"),
    [
        ({}, 1.0, False),
        ({"temperature": None, "problem_type": None}, 1.0, False),
        ({"temperature": 2, "problem_type": "single_label_classification"}, 2.0, False),
        ({"temperature": 0.75, "problem_type": "multi_label_classification"}, 0.75, True),
    ],
)
def test_what_it_says_about_scores(
    make_bundle: Callable[..., Path], config: dict[str, Any], temperature: float, multi_label: bool
) -> None:
    bundle = Bundle.load(make_bundle(config=config))
    assert (bundle.temperature, bundle.multi_label) == (temperature, multi_label)


@pytest.mark.parametrize(
    ("config", "reads"),
    [
        ({}, (16, "truncate", 64)),
        ({"max_length": 5}, (16, "truncate", 64)),  # of text generation
        ({"max_length": 5, "max_windows": 2, "long_text": None}, (16, "truncate", 64)),
        ({"max_length": 513, "max_windows": "x"}, (16, "truncate", 64)),
        ({"long_text": "truncate"}, (16, "truncate", 64)),
        ({"long_text": "truncate", "max_length": 5}, (5, "truncate", 64)),
        ({"long_text": "average"}, (16, "average", 64)),
        ({"long_text": "max", "max_windows": 1, "max_length": 1}, (1, "max", 1)),
        ({"long_text": "average", "max_windows": 64, "max_length": 16}, (16, "average", 64)),
        ({"long_text": "average", "max_position_embeddings": 4096}, (512, "average", 64)),
        ({"long_text": "max", "max_length": 8, "window_tokens": 8}, (8, "max", 64)),
    ],
)
def test_what_it_says_about_long_texts(
    make_bundle: Callable[..., Path], config: dict[str, Any], reads: tuple[int, str, int]
) -> None:
    bundle = Bundle.load(make_bundle(config=config))
    assert (bundle.row_length, bundle.long_text, bundle.max_windows) == reads
    assert bundle.window_tokens == config.get("window_tokens")


def test_the_hash_covers_the_temperature(make_bundle: Callable[..., Path]) -> None:
    warm = Bundle.load(make_bundle("warm", config={"temperature": 2}))
    assert warm.hash != Bundle.load(make_bundle("cold")).hash


def test_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(f"file://{tmp_path}") == tmp_path.resolve()
    monkeypatch.chdir(tmp_path)
    assert resolve(".") == tmp_path.resolve()
    # No machine of Google's is asked for credentials: that takes long where it isn't one.
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    assert "gs://" in message_of(lambda: resolve("gs://bucket/model"))
    assert "no such folder" in message_of(lambda: resolve(tmp_path / "no"), tmp_path / "no")
    file = tmp_path / "file"
    file.touch()
    assert "neither a folder nor an ONNX" in message_of(lambda: resolve(file), file)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("config.json", "config.json is missing"),
        ("tokenizer.json", "neither tokenizer.json nor"),
        ("model.onnx", "neither model_quantized.onnx nor model.onnx"),
    ],
)
def test_a_missing_file(make_bundle: Callable[..., Path], name: str, words: str) -> None:
    folder = make_bundle()
    (folder / name).unlink()
    assert words in message_of(lambda: Bundle.load(folder), folder)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("config.json", b"{", "is not JSON"),
        ("config.json", b"\xff\xfe", "is not JSON"),
        ("config.json", b"[]", "is not a JSON object"),
        ("tokenizer.json", b"{", "tokenizer.json is broken"),
        ("tokenizer.json", b"{}", "tokenizer.json is broken"),
        ("model.onnx", b"", "model.onnx is empty"),
    ],
)
def test_a_broken_file(
    make_bundle: Callable[..., Path], name: str, data: bytes, words: str
) -> None:
    folder = make_bundle()
    (folder / name).write_bytes(data)
    assert words in message_of(lambda: Bundle.load(folder), folder)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"id2label": None}, "has no id2label"),
        ({"id2label": {}}, "has no id2label"),
        ({"id2label": ["a", "b"]}, "has no id2label"),
        ({"id2label": {"0": "a", "2": "b"}}, "0, 2; number its labels 0 to 1"),
        ({"id2label": {"1": "a", "2": "b"}}, "number its labels 0 to 1"),
        ({"id2label": {"0": "a", "1": "a"}}, "none twice"),
        ({"id2label": {"0": "a", "1": ""}}, "must be a text"),
        ({"id2label": {"0": "a", "1": 7}}, "must be a text"),
        ({"pad_token_id": "x"}, "pad_token_id"),
        ({"max_position_embeddings": 0}, "max_position_embeddings"),
        ({"temperature": 0}, "temperature in config.json is 0; make it a number above 0"),
        ({"temperature": -1.5}, "temperature in config.json is -1.5;"),
        ({"temperature": "1.5"}, "temperature in config.json is '1.5';"),
        ({"temperature": True}, "temperature in config.json is True;"),
        ({"temperature": float("nan")}, "temperature in config.json is nan;"),
        ({"temperature": float("inf")}, "temperature in config.json is inf;"),
        ({"temperature": 10**400}, "make it a number above 0"),
        (
            {"long_text": "cut"},
            "long_text in config.json is 'cut'; make it one of truncate, average, max, or leave",
        ),
        ({"long_text": ["max"]}, "long_text in config.json is ['max'];"),
        ({"long_text": ""}, "long_text in config.json is '';"),
        (
            {"long_text": "average", "max_length": 0},
            "max_length in config.json is 0; make it 1 to 16 tokens",
        ),
        # More than the model takes.
        ({"long_text": "average", "max_length": 17}, "max_length in config.json is 17;"),
        (
            {"long_text": "max", "max_length": 513, "max_position_embeddings": 4096},
            "max_length in config.json is 513; make it 1 to 512 tokens",
        ),
        ({"long_text": "truncate", "max_length": "8"}, "max_length in config.json is '8';"),
        ({"long_text": "truncate", "max_length": 8.0}, "max_length in config.json is 8.0;"),
        ({"long_text": "truncate", "max_length": True}, "max_length in config.json is True;"),
        (
            {"long_text": "average", "max_windows": 65},
            "max_windows in config.json is 65; make it 1 to 64 windows, or leave it out",
        ),
        ({"long_text": "average", "max_windows": 0}, "max_windows in config.json is 0;"),
        (
            {"long_text": "average", "max_length": 8, "window_tokens": 9},
            "window_tokens in config.json is 9; make it 1 to 8 tokens, which is what a row has, or",
        ),
        (
            {"long_text": "average", "window_tokens": 2},
            "window_tokens in config.json is 2, and special tokens alone are 2; make it more, or",
        ),
        ({"long_text": "truncate", "window_tokens": 4}, "window_tokens in config.json is 4, and"),
        ({"long_text": "max", "max_windows": "2"}, "max_windows in config.json is '2';"),
        (
            {"long_text": "truncate", "max_windows": 2},
            "max_windows in config.json is 2, and with long_text truncate there are no windows; make",
        ),
        ({"problem_type": "regression"}, "it gives a number, no category; name a classifier"),
        ({"id2label": {"0": "LABEL_0"}}, "has one label, 'LABEL_0', whose score would always be 1"),
        (
            {"id2label": {"0": "x"}, "problem_type": "single_label_classification"},
            "export a model with two labels or more",
        ),
        ({"id2label": {"0": "x"}, "problem_type": "regression"}, "it gives a number"),
        ({"problem_type": 1}, "problem_type in config.json is 1;"),
        ({"vocab_size": 5}, "tokenizer knows 10 tokens, the model 5"),
    ],
)
def test_a_wrong_config(
    make_bundle: Callable[..., Path], config: dict[str, Any], words: str
) -> None:
    folder = make_bundle(config=config)
    assert words in message_of(lambda: Bundle.load(folder), folder)


def test_a_config_that_is_no_file(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    assert "cannot read config.json" in message_of(lambda: Bundle.load(folder), folder)


THREE = {"id2label": {"0": "a", "1": "b", "2": "c"}}


@pytest.mark.parametrize(
    ("config", "model", "words"),
    [
        (THREE, {"width": 2}, "names 3 labels, but the model gives 2 logits"),
        (THREE, {}, "names 3 labels, but the model gives 2 logits"),
        ({}, {"output_name": "last_hidden_state"}, "has the outputs last_hidden_state"),
        ({}, {"input_name": "pixels"}, "has the inputs pixels, attention_mask"),
        ({}, {"embedding": np.full((10, 2), np.nan)}, "logits are not finite"),
        ({}, {"embedding": np.zeros((2, 2))}, "cannot classify a test sentence"),
    ],
)
def test_a_model_that_does_not_fit(
    make_bundle: Callable[..., Path],
    config: dict[str, Any],
    model: dict[str, Any],
    words: str,
) -> None:
    folder = make_bundle(config=config, **model)
    bundle = Bundle.load(folder)
    assert words in message_of(lambda: verify(bundle), folder)


@pytest.mark.parametrize("keep", [100, 1_000_000])
def test_a_corrupt_model(default_copy: Path, keep: int) -> None:
    file = default_copy / "model_quantized.onnx"
    file.write_bytes(file.read_bytes()[:keep])
    bundle = Bundle.load(default_copy)
    assert "ONNX Runtime cannot load" in message_of(lambda: verify(bundle), default_copy)


def test_labels_that_do_not_fit_the_default_model(default_copy: Path) -> None:
    file = default_copy / "config.json"
    config = json.loads(file.read_text())
    config["id2label"] = {"0": "World", "1": "Sports"}
    file.write_text(json.dumps(config))
    message = message_of(lambda: verify(Bundle.load(default_copy)), default_copy)
    assert "names 2 labels, but the model gives 4 logits" in message


def thoroughly(folder: Path) -> Callable[[], None]:
    bundle = Bundle.load(folder)
    verify(bundle)  # the test sentence is no trouble
    return lambda: verify(bundle, thorough=True)


def test_fewer_positions_than_config_says(make_bundle: Callable[..., Path]) -> None:
    good = make_bundle(config={"max_position_embeddings": 48}, positions=48)
    verify(Bundle.load(good), thorough=True)
    bad = make_bundle("bad", config={"max_position_embeddings": 512}, positions=48)
    message = message_of(thoroughly(bad), bad)
    assert "model.onnx cannot classify a text of 512 tokens" in message
    assert "check max_position_embeddings" in message


def test_padding_that_counts(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle(masked=False)
    assert "attention_mask is not heeded" in message_of(thoroughly(folder), folder)


def test_one_row_a_batch(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle(batch=1)
    message = message_of(thoroughly(folder), folder)
    assert "a text of 16 tokens and one of 11 in one batch" in message


def test_rows_of_a_dynamic_model_are_not_run_together(make_bundle: Callable[..., Path]) -> None:
    verify(Bundle.load(make_bundle(dynamic=True, batch=1)), thorough=True)
