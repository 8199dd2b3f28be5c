"""The older form of RoBERTa's tokenizer: vocab.json and merges.txt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from models.bundle import Bundle
from models.errors import BundleError
from models.verify import verify

TEXTS = [
    "Hello world",
    "It's 7 o'clock:  prices rise 3.5%\n and\tfall…",
    "Café 日本 😀 naïve",
    "",
    " leading and trailing ",
]


def split(folder: Path) -> None:
    """Turns tokenizer.json into vocab.json and merges.txt."""
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    (folder / "tokenizer.json").unlink()


def test_both_forms_give_the_same_tokens(default_copy: Path, default_bundle: Bundle) -> None:
    split(default_copy)
    bundle = Bundle.load(default_copy)
    assert bundle.hash != default_bundle.hash
    old, new = bundle.tokenizer(), default_bundle.tokenizer()
    for text in TEXTS:
        assert old.encode(text).ids == new.encode(text).ids
    verify(bundle)


def test_special_tokens_are_named_by_the_settings(default_copy: Path) -> None:
    split(default_copy)
    file = default_copy / "tokenizer_config.json"
    file.write_text(json.dumps({"bos_token": {"content": "<s>"}, "add_prefix_space": True}))
    tokenizer = Bundle.load(default_copy).tokenizer()
    assert tokenizer.encode("world").ids == tokenizer.encode(" world").ids


def test_a_vocabulary_of_another_kind(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle()
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text('{"a": 0, "<unk>": 1}')
    (folder / "merges.txt").write_text("#version: 0.2\n")
    with pytest.raises(BundleError, match=r"lacks <s> or </s>.*need tokenizer\.json"):
        Bundle.load(folder)


@pytest.mark.parametrize(("name", "data"), [("vocab.json", "{"), ("merges.txt", "a b c d\nx")])
def test_broken_files(default_copy: Path, name: str, data: str) -> None:
    split(default_copy)
    (default_copy / name).write_text(data)
    with pytest.raises(BundleError, match=r"vocab\.json or merges\.txt is broken"):
        Bundle.load(default_copy)
