"""The older form of RoBERTa's tokenizer: vocab.json and merges.txt."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from models.bundle import Bundle
from models.errors import BundleError
from models.tokenizer_files import lent_tokenizer, load_tokenizer
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


def test_what_was_only_looked_at_is_handed_on_once(
    default_copy: Path, default_bundle: Bundle
) -> None:
    with lent_tokenizer(default_copy, {}) as looked_at:
        assert looked_at.encode("news").ids == default_bundle.tokenizer().encode("news").ids
    with lent_tokenizer(default_bundle.path, {}) as again:
        assert again is looked_at  # of the same files, wherever they are
    owned = load_tokenizer(default_copy, {})
    assert owned is looked_at
    owned.enable_truncation(1)
    with lent_tokenizer(default_copy, {}) as other:
        assert other.truncation is None


def test_what_was_looked_at_is_not_that_of_changed_files(default_copy: Path) -> None:
    with lent_tokenizer(default_copy, {}) as before:
        pass
    tokenizer = json.loads((default_copy / "tokenizer.json").read_text())
    tokenizer["post_processor"] = None
    (default_copy / "tokenizer.json").write_text(json.dumps(tokenizer))
    after = load_tokenizer(default_copy, {})
    assert len(after.encode("news").ids) == len(before.encode("news").ids) - 2
